"""Checkpoints: what is saved is what is loaded, and whatever is wrong with a folder is one clear line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from translator import checkpoint as module
from translator.checkpoint import (
    CARD,
    CONFIG,
    FORMAT_VERSION,
    TOKENIZER,
    WEIGHTS,
    CheckpointError,
    CheckpointInfo,
    find_checkpoint,
    load_checkpoint,
    read_info,
    save_checkpoint,
    shipped_models,
)
from translator.config import TokenizerConfig
from translator.model import Seq2Seq, count_parameters
from translator.tokenizer import Tokenizer

Build = Callable[..., Seq2Seq]


def info_of(model: Seq2Seq, tokenizer: Tokenizer, **facts: Any) -> CheckpointInfo:
    return CheckpointInfo(("ko-en", "en-ko"), tokenizer.vocab_size, model.config, training=facts)


@pytest.fixture
def saved(tiny_model: Build, tokenizer: Tokenizer, tmp_path: Path) -> Path:
    model = tiny_model(tokenizer.vocab_size)
    folder = tmp_path / "models" / "small"
    save_checkpoint(folder, model.state_dict(), tokenizer, info_of(model, tokenizer, steps=7), card="# Card\n")
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    assert str(folder) in message
    return message


@torch.inference_mode()
def logits(model: Seq2Seq) -> torch.Tensor:
    state = model.encode(torch.tensor([[4, 300, 500, 3], [4, 700, 3, 0]]), torch.tensor([4, 3]))
    return model.logits(model.decode(torch.tensor([[2, 30, 40], [2, 500, 60]]), state)[0])


def rewrite_config(folder: Path, **changes: Any) -> None:
    values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (folder / CONFIG).write_text(json.dumps(values | changes), encoding="utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- what is saved is what is loaded ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"tie_embeddings": False},
        {"cell": "gru", "attention": "none", "decoder_layers": 1},
        {"cell": "rnn", "bidirectional": False, "attention": "additive", "embedding_size": 12},
    ],
    ids=str,
)
def test_a_loaded_model_gives_the_same_logits(
    tiny_model: Build, tokenizer: Tokenizer, tmp_path: Path, overrides: dict[str, Any]
) -> None:
    model = tiny_model(tokenizer.vocab_size, **overrides)
    info = info_of(model, tokenizer, steps=7, data="우리 말뭉치")
    save_checkpoint(tmp_path / "m", model.state_dict(), tokenizer, info, card="# Card\n")
    loaded = load_checkpoint(tmp_path / "m")
    assert torch.allclose(logits(loaded.model), logits(model), atol=2e-2)
    assert loaded.info == info
    assert loaded.tokenizer.model == tokenizer.model
    assert loaded.folder == tmp_path / "m"
    assert not loaded.model.training
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    model.load_state_dict({name: tensor.half().float() for name, tensor in model.state_dict().items()})
    assert torch.equal(logits(loaded.model), logits(model))


def test_weights_kept_in_fp32_come_back_exactly(tiny_model: Build, tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = tiny_model(tokenizer.vocab_size)
    save_checkpoint(tmp_path / "m", model.state_dict(), tokenizer, info_of(model, tokenizer), dtype=torch.float32)
    assert torch.equal(logits(load_checkpoint(tmp_path / "m").model), logits(model))


def test_a_folder_holds_the_four_files_and_nothing_is_left_beside_it(saved: Path) -> None:
    assert set(contents(saved)) == {CONFIG, WEIGHTS, TOKENIZER, CARD}
    assert [path.name for path in saved.parent.iterdir()] == ["small"]


def test_tied_weights_are_stored_once(tiny_model: Build, tokenizer: Tokenizer, tmp_path: Path) -> None:
    sizes = {}
    for tie in (True, False):
        model = tiny_model(tokenizer.vocab_size, tie_embeddings=tie)
        save_checkpoint(tmp_path / str(tie), model.state_dict(), tokenizer, info_of(model, tokenizer))
        stored = safetensors.torch.load_file(tmp_path / str(tie) / WEIGHTS)
        sizes[tie] = sum(tensor.numel() for tensor in stored.values())
        assert sizes[tie] == count_parameters(model)
        assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert sizes[False] - sizes[True] == 2 * tokenizer.vocab_size * 16


def test_tied_weights_are_still_tied_after_loading(saved: Path, tiny_model: Build, tokenizer: Tokenizer) -> None:
    loaded = load_checkpoint(saved).model
    assert loaded.output.weight is loaded.source_embedding.weight
    assert loaded.target_embedding.weight is loaded.source_embedding.weight
    assert count_parameters(loaded) == count_parameters(tiny_model(tokenizer.vocab_size))


def test_untied_weights_stay_three_after_loading(tiny_model: Build, tokenizer: Tokenizer, tmp_path: Path) -> None:
    model = tiny_model(tokenizer.vocab_size, tie_embeddings=False)
    save_checkpoint(tmp_path / "m", model.state_dict(), tokenizer, info_of(model, tokenizer))
    loaded = load_checkpoint(tmp_path / "m").model
    assert count_parameters(loaded) == count_parameters(model)
    assert not torch.equal(loaded.target_embedding.weight, loaded.source_embedding.weight)


def test_saving_again_replaces_the_folder(saved: Path, tiny_model: Build, tokenizer: Tokenizer) -> None:
    model = tiny_model(tokenizer.vocab_size, seed=2)
    save_checkpoint(saved, model.state_dict(), tokenizer, info_of(model, tokenizer, steps=8))
    assert read_info(saved).training == {"steps": 8}
    assert torch.allclose(logits(load_checkpoint(saved).model), logits(model), atol=2e-2)
    assert [path.name for path in saved.parent.iterdir()] == ["small"]


def test_leftovers_of_a_crash_are_no_hindrance(saved: Path, tiny_model: Build, tokenizer: Tokenizer) -> None:
    for name in ("small.new", "small.old"):
        (saved.parent / name).mkdir()
        (saved.parent / name / "junk").write_text("x")
    model = tiny_model(tokenizer.vocab_size)
    save_checkpoint(saved, model.state_dict(), tokenizer, info_of(model, tokenizer, steps=9))
    assert load_checkpoint(saved).info.training == {"steps": 9}
    assert [path.name for path in saved.parent.iterdir()] == ["small"]


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, TOKENIZER])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    assert name in refusal(saved)


def test_a_missing_card_is_no_damage(saved: Path) -> None:
    (saved / CARD).unlink()
    load_checkpoint(saved)


def test_a_missing_folder_or_a_file_in_its_place_is_named(saved: Path, tmp_path: Path) -> None:
    refusal(tmp_path / "nowhere")
    refusal(saved / CARD)


@pytest.mark.parametrize("keep", [0, 5, 500, -1])
def test_truncated_weights_are_named(saved: Path, keep: int) -> None:
    data = (saved / WEIGHTS).read_bytes()
    (saved / WEIGHTS).write_bytes(data[:keep])
    assert WEIGHTS in refusal(saved)


@pytest.mark.parametrize("keep", [0, 10, 200, 5000, -1])
def test_a_truncated_tokenizer_is_named(saved: Path, keep: int) -> None:
    data = (saved / TOKENIZER).read_bytes()
    (saved / TOKENIZER).write_bytes(data[:keep])
    assert TOKENIZER in refusal(saved)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"3", b"null", b'{"model": 1}', b"{}"])
def test_a_broken_config_is_named(saved: Path, content: bytes) -> None:
    (saved / CONFIG).write_bytes(content)
    assert CONFIG in refusal(saved)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"color": "red"}, "color"),
        ({"model": {"depth": 3}}, "model.depth"),
        ({"model": {"cell": "transformer"}}, "model.cell"),
        ({"model": {"hidden_size": 15}}, "model.hidden_size"),
        ({"directions": ["ko-ja"]}, "directions"),
        ({"directions": []}, "directions"),
        ({"vocab_size": "many"}, "vocab_size"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"format_version": "one"}, "format_version"),
        ({"training": []}, "training"),
    ],
)
def test_a_config_that_says_something_impossible_names_the_key(saved: Path, changes: dict[str, Any], key: str) -> None:
    rewrite_config(saved, **changes)
    message = refusal(saved)
    assert CONFIG in message
    assert key in message


def test_a_newer_format_asks_for_an_upgrade_whatever_else_it_holds(saved: Path) -> None:
    rewrite_config(saved, format_version=FORMAT_VERSION + 1, novelty={"a": 1})
    message = refusal(saved)
    assert f"{FORMAT_VERSION + 1}" in message
    assert "upgrade" in message


def test_a_tokenizer_of_another_size_is_told(saved: Path, tokenizer: Tokenizer, pairs: list[tuple[str, str]]) -> None:
    sentences = [side for pair in pairs for side in pair]
    Tokenizer.train(sentences, TokenizerConfig(vocab_size=700, character_coverage=0.98)).save(saved / TOKENIZER)
    message = refusal(saved)
    assert "700" in message
    assert str(tokenizer.vocab_size) in message


def test_a_vocabulary_size_that_fits_neither_file_is_told(saved: Path) -> None:
    rewrite_config(saved, vocab_size=999)
    assert "999" in refusal(saved)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 32},
        {"embedding_size": 8},
        {"decoder_layers": 3},
        {"encoder_layers": 1},
        {"cell": "gru"},
        {"attention": "none"},
        {"bidirectional": False},
        {"tie_embeddings": False},
    ],
    ids=str,
)
def test_weights_of_another_architecture_are_told(saved: Path, change: dict[str, Any]) -> None:
    model = json.loads((saved / CONFIG).read_text(encoding="utf-8"))["model"]
    rewrite_config(saved, model=model | change)
    message = refusal(saved)
    assert WEIGHTS in message
    assert CONFIG in message


# --- writing ----------------------------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_last_folder_as_it_was(
    saved: Path, tiny_model: Build, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(saved)

    def disk_full(_: Any, path: Path) -> None:
        Path(path).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", disk_full)
    model = tiny_model(tokenizer.vocab_size, seed=2)
    with pytest.raises(CheckpointError, match="No space left") as caught:
        save_checkpoint(saved, model.state_dict(), tokenizer, info_of(model, tokenizer, steps=8))
    assert str(saved) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert contents(saved) == before
    assert [path.name for path in saved.parent.iterdir()] == ["small"]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failed_rename_leaves_the_last_folder_as_it_was(
    saved: Path, tiny_model: Build, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    before = contents(saved)
    rename, calls = os.replace, []

    def refuse(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == failing:
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    model = tiny_model(tokenizer.vocab_size, seed=2)
    with pytest.raises(CheckpointError, match="the last one is intact"):
        save_checkpoint(saved, model.state_dict(), tokenizer, info_of(model, tokenizer, steps=8))
    assert saved.is_dir(), "the last checkpoint is gone"
    assert contents(saved) == before


def test_a_folder_that_cannot_be_made_is_one_clear_line(
    tiny_model: Build, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    model = tiny_model(tokenizer.vocab_size)
    with pytest.raises(CheckpointError, match="could not be written"):
        save_checkpoint(tmp_path / "file" / "m", model.state_dict(), tokenizer, info_of(model, tokenizer))


# --- finding ----------------------------------------------------------------------------------------------------------


def test_a_folder_and_a_shipped_name_are_found(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "shipped_models", lambda: {"ko-en": saved})
    assert find_checkpoint(str(saved)) == saved
    assert find_checkpoint("ko-en") == saved


def test_an_unknown_name_lists_what_there_is(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "shipped_models", lambda: {"ko-en": saved, "en-ko": saved})
    with pytest.raises(CheckpointError, match="'ko-fr'") as caught:
        find_checkpoint("ko-fr")
    assert "ko-en, en-ko" in str(caught.value)
    monkeypatch.setattr(module, "shipped_models", dict)
    with pytest.raises(CheckpointError, match="none shipped"):
        find_checkpoint("ko-fr")


def test_every_shipped_model_says_what_it_is() -> None:
    for path in shipped_models().values():
        assert read_info(path).directions


def test_info_survives_its_file(saved: Path, tiny_model: Build, tokenizer: Tokenizer) -> None:
    model = tiny_model(tokenizer.vocab_size)
    info = replace(info_of(model, tokenizer, note="한글"), speech_levels=False)
    save_checkpoint(saved, model.state_dict(), tokenizer, info)
    assert read_info(saved) == info
    assert "한글" in (saved / CONFIG).read_text(encoding="utf-8")
