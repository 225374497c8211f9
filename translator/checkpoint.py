"""Checkpoint folders: `config.json`, `model.safetensors`, `tokenizer.model` and a model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from translator.config import ConfigError, Direction, ModelConfig, from_dict
from translator.errors import TranslatorError
from translator.model import Seq2Seq
from translator.tokenizer import Tokenizer

FORMAT_VERSION = 1
CONFIG, WEIGHTS, TOKENIZER, CARD = "config.json", "model.safetensors", "tokenizer.model", "README.md"


class CheckpointError(TranslatorError):
    """A checkpoint folder that is incomplete, damaged or not for this version."""


@dataclass(frozen=True)
class CheckpointInfo:
    """What `config.json` says."""

    directions: tuple[Direction, ...]
    vocab_size: int
    model: ModelConfig
    speech_levels: bool = True  # whether English→Korean sources carry a speech-level tag
    format_version: int = FORMAT_VERSION
    training: dict[str, Any] = field(default_factory=dict)  # facts for people: steps, minutes, scores, data

    def __post_init__(self) -> None:
        if self.vocab_size < 1 or not self.directions:
            raise ConfigError("vocab_size and directions must not be empty")

    def dev_chrf(self, direction: Direction) -> float:
        """Return the chrF2 (0 to 100) on the dev set that the model was chosen by; 0 if it was not recorded."""
        return float(self.training.get("dev_scores_greedy", {}).get(f"{direction} chrF2", 0.0))


@dataclass(frozen=True)
class Checkpoint:
    """A model ready to run, with the tokenizer it was trained with."""

    model: Seq2Seq
    tokenizer: Tokenizer
    info: CheckpointInfo
    folder: Path


def save_checkpoint(
    folder: Path,
    weights: Mapping[str, torch.Tensor],
    tokenizer: Tokenizer,
    info: CheckpointInfo,
    card: str = "",
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a checkpoint folder so that `folder` is at every moment the old one or the new one, never half of each."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        stored: dict[str, torch.Tensor] = {}
        seen: set[int] = set()
        for name, tensor in weights.items():
            if tensor.data_ptr() not in seen:  # tied weights are stored once
                seen.add(tensor.data_ptr())
                stored[name] = tensor.detach().to("cpu", dtype).contiguous()
        safetensors.torch.save_file(stored, fresh / WEIGHTS)
        (fresh / WEIGHTS).chmod(0o644)  # safetensors leaves it to its owner alone
        tokenizer.save(fresh / TOKENIZER)
        (fresh / CONFIG).write_text(json.dumps(asdict(info), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if card:
            (fresh / CARD).write_text(card, encoding="utf-8")
        replace_folder(fresh, folder)
    except (OSError, safetensors.SafetensorError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise CheckpointError(
            f"{folder}: the checkpoint could not be written ({error}); the last one is intact"
        ) from None


def replace_folder(fresh: Path, folder: Path) -> None:
    """Put `fresh` in the place of `folder` by renaming; a crash leaves one of them under its own name."""
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    try:
        fresh.replace(folder)
    except OSError:
        if old.exists():
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def read_info(folder: Path) -> CheckpointInfo:
    """Read `config.json` alone, which is quick; raise CheckpointError naming what is wrong."""
    path = folder / CONFIG
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: not a checkpoint, there is no {CONFIG}") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: not valid JSON ({error})") from None
    version = values.get("format_version") if isinstance(values, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format version {version} is newer than this package knows ({FORMAT_VERSION}); upgrade translator"
        )
    try:
        return from_dict(CheckpointInfo, values)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None


def load_checkpoint(folder: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Load and validate a checkpoint folder; the model comes in evaluation mode and fp32.

    Raises CheckpointError with one line for a missing or truncated file, a config that does not fit the weights, a
    tokenizer that does not fit the vocabulary, or a newer format version.
    """
    folder = Path(folder)
    info = read_info(folder)
    for name in (WEIGHTS, TOKENIZER):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: incomplete checkpoint, {name} is missing")
    try:
        tokenizer = Tokenizer.load(folder / TOKENIZER)
    except TranslatorError as error:
        raise CheckpointError(str(error)) from None
    if tokenizer.vocab_size != info.vocab_size:
        raise CheckpointError(
            f"{folder}: {TOKENIZER} has {tokenizer.vocab_size} pieces but {CONFIG} says vocab_size = {info.vocab_size}"
        )
    try:
        weights = safetensors.torch.load_file(folder / WEIGHTS)
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder / WEIGHTS}: damaged or truncated ({error})") from None
    model = Seq2Seq(info.model, info.vocab_size)
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if info.model.tie_embeddings:
        weights.update({name: weights[TIED] for name in expected if name in ALIASES and TIED in weights})
    _compare({name: tensor.shape for name, tensor in weights.items()}, expected, folder)
    model.load_state_dict(weights)
    model.to(device)
    return Checkpoint(model.eval(), tokenizer, info, folder)


TIED = "source_embedding.weight"
ALIASES = ("target_embedding.weight", "output.weight")


def _compare(found: Mapping[str, torch.Size], expected: Mapping[str, torch.Size], folder: Path) -> None:
    for name, shape in expected.items():
        if name not in found:
            raise CheckpointError(f"{folder}: {WEIGHTS} has no {name}, which {CONFIG} calls for")
        if found[name] != shape:
            raise CheckpointError(
                f"{folder}: {name} in {WEIGHTS} is {list(found[name])}, but {CONFIG} calls for {list(shape)}"
            )
    for name in found:
        if name not in expected:
            raise CheckpointError(f"{folder}: {WEIGHTS} has {name}, which {CONFIG} does not know")


def shipped_models() -> dict[str, Path]:
    """Return the checkpoints that come with the package, by name."""
    found: dict[str, Path] = {}
    for root in (
        Path(str(resources.files("translator"))) / "checkpoints",
        Path(__file__).parent.parent / "checkpoints",
    ):
        if root.is_dir():  # the first in an installed package, the second in a working tree
            for path in sorted(root.iterdir()):
                if (path / CONFIG).is_file():
                    found.setdefault(path.name, path)
    return found


def find_checkpoint(name: str) -> Path:
    """Return the folder of a model given by folder or by the name of a shipped one; raise CheckpointError."""
    shipped = shipped_models()
    if name in shipped:
        return shipped[name]
    if Path(name).is_dir():
        return Path(name)
    raise CheckpointError(
        f"no model {name!r}: give a checkpoint folder or one of: {', '.join(shipped) or '(none shipped)'}"
    )
