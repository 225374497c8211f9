"""From a recipe to a trained model: corpus, tokenizer, trainer."""

from __future__ import annotations

import sys
from pathlib import Path

from translator.config import Config
from translator.corpus import prepare, read_test_set
from translator.errors import TranslatorError
from translator.tokenizer import Tokenizer
from translator.training.distributed import World, join_world
from translator.training.state import STATE, load_state
from translator.training.trainer import Counters, Trainer


def train_recipe(config: Config, folder: Path, resume: bool = False, max_minutes: float = 0.0) -> Counters:
    """Run (or resume) a recipe in `folder`; see Trainer.run for how it ends.

    Raises TranslatorError if `folder` holds another run and `resume` is false.
    """
    if not resume and (folder / STATE).exists():
        raise TranslatorError(f"{folder} holds a run already: continue it with --resume or choose another --output")
    if resume and not (folder / STATE).exists():  # before a folder is made or a minute spent
        load_state(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with join_world() as world:
        pairs, report = prepare(config.corpus)
        if not pairs:
            raise TranslatorError("no sentence pair is left to train on: see `translator corpus prepare`")
        tokenizer = _tokenizer(config, folder, world, [side for pair in pairs for side in (pair.ko, pair.en)])
        dev = read_test_set(config.corpus.dev) if config.corpus.dev else []
        if world.main and not resume:
            dropped = ", ".join(f"{count} {rule}" for rule, count in report.items() if count)
            print(f"{len(pairs)} pairs; dropped: {dropped or 'none'}", file=sys.stderr, flush=True)
        return Trainer(config, pairs, dev, tokenizer, folder, world, resume).run(max_minutes)


def _tokenizer(config: Config, folder: Path, world: World, sentences: list[str]) -> Tokenizer:
    """Load the recipe's tokenizer or the run's own, which the main process trains once."""
    if config.tokenizer.path:
        return Tokenizer.load(config.tokenizer.path)
    path = folder / "tokenizer.model"
    if world.main and not path.exists():
        partial = path.with_suffix(".new")
        Tokenizer.train(sentences, config.tokenizer).save(partial)
        partial.replace(path)
    world.wait()
    return Tokenizer.load(path)
