"""Real parts in small: a slice of our own corpus, a tokenizer trained on it, models of a few thousand weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from translator.config import ModelConfig, TokenizerConfig
from translator.model import Seq2Seq
from translator.tokenizer import Tokenizer

torch.set_num_threads(1)  # tiny products: a second thread only gets in the way

# The same examples in every run, and no clock: a busy machine is no bug.
# To search further: --hypothesis-profile=default
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

TRAIN = Path(__file__).parent.parent / "data" / "everyday" / "train.tsv"


def rows() -> list[tuple[str, str]]:
    with TRAIN.open(encoding="utf-8") as file:
        return [(ko, en) for ko, en, _ in (line.rstrip("\n").split("\t") for line in file)]


@pytest.fixture(scope="session")
def pairs() -> list[tuple[str, str]]:
    """200 short (Korean, English) pairs; no side occurs twice."""
    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    for ko, en in rows():
        if len(ko) <= 25 and len(en) <= 25 and ko not in seen and en not in seen:
            seen |= {ko, en}
            found.append((ko, en))
            if len(found) == 200:
                break
    return found


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """About 1,200 pieces, learned on 3,000 sentences."""
    sentences = [side for pair in rows()[:1500] for side in pair]
    return Tokenizer.train(sentences, TokenizerConfig(vocab_size=1200, character_coverage=0.98), threads=1)


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., Seq2Seq]:
    """Build a model in evaluation mode from a fixed seed; keywords override its configuration."""

    def build(vocab_size: int = 40, seed: int = 1, **overrides: Any) -> Seq2Seq:
        small = {"embedding_size": 16, "hidden_size": 16, "heads": 2, "dropout": 0.1}
        torch.manual_seed(seed)
        return Seq2Seq(ModelConfig(**(small | overrides)), vocab_size).eval()

    return build
