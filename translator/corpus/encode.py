"""Sentence pairs as piece ids in flat arrays: encoded once, cached on disk, drawn anew for subword sampling."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from translator.config import Direction
from translator.text import speech_level
from translator.tokenizer import EOS, PLACEHOLDERS, TAGS, Tokenizer


class Pair(NamedTuple):
    """A sentence in both languages."""

    ko: str
    en: str
    weight: float = 1.0


class EncodedCorpus:
    """Examples of all directions; example `i` is (source ids, target ids).

    Sources carry their tags and the end of sentence, targets neither start nor end.
    """

    # Pieces from here on stand for text; the ones below are symbols, tags and placeholders.
    first_piece = 4 + len(TAGS) + len(PLACEHOLDERS)

    def __init__(
        self, ids: npt.NDArray[np.uint16], ends: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]
    ) -> None:
        """`ids`: source 0, target 0, source 1, … end to end; `ends` [2 · examples] where each one stops."""
        self.ids, self.ends, self.weights = ids, ends, weights
        lengths = np.diff(ends, prepend=0)
        self.source_lengths, self.target_lengths = lengths[0::2], lengths[1::2]

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, i: int) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
        start = self.ends[2 * i - 1] if i else 0
        middle, end = self.ends[2 * i], self.ends[2 * i + 1]
        return self.ids[start:middle], self.ids[middle:end]


def encode_corpus(
    pairs: Sequence[Pair],
    tokenizer: Tokenizer,
    directions: Iterable[Direction],
    max_tokens: int,
    speech_levels: bool = True,
    sampling_alpha: float = 0.0,
    seed: int = 0,
) -> EncodedCorpus:
    """Encode every pair in every direction; a side of more than `max_tokens` pieces drops the pair."""
    ko = tokenizer.encode_batch([pair.ko for pair in pairs], sampling_alpha, seed)
    en = tokenizer.encode_batch([pair.en for pair in pairs], sampling_alpha, seed + 1)
    flat: list[int] = []
    ends: list[int] = []
    weights: list[float] = []
    for direction in directions:
        for pair, k, e in zip(pairs, ko, en, strict=True):
            if not 0 < len(k) <= max_tokens or not 0 < len(e) <= max_tokens:
                continue
            if direction == "ko-en":
                source, target = [*tokenizer.source_prefix("en"), *k, EOS], e
            else:
                level = speech_level(pair.ko) if speech_levels else None
                source, target = [*tokenizer.source_prefix("ko", level), *e, EOS], k
            for side in (source, target):
                flat += side
                ends.append(len(flat))
            weights.append(pair.weight)
    return EncodedCorpus(np.array(flat, np.uint16), np.array(ends, np.int64), np.array(weights, np.float64))


def cached_encode(
    cache: Path,
    pairs: Sequence[Pair],
    tokenizer: Tokenizer,
    directions: Sequence[Direction],
    max_tokens: int,
    speech_levels: bool = True,
) -> EncodedCorpus:
    """Like encode_corpus, but kept in the folder `cache` under a name made of everything the result depends on."""
    digest = hashlib.sha256(tokenizer.model)
    digest.update(repr((tuple(directions), max_tokens, speech_levels)).encode())
    for pair in pairs:
        digest.update(repr(tuple(pair)).encode())
    path = cache / f"{digest.hexdigest()[:32]}.npz"
    if path.is_file():
        with np.load(path) as stored:
            return EncodedCorpus(stored["ids"], stored["ends"], stored["weights"])
    corpus = encode_corpus(pairs, tokenizer, directions, max_tokens, speech_levels)
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    with partial.open("wb") as file:
        np.savez(file, ids=corpus.ids, ends=corpus.ends, weights=corpus.weights)
    partial.replace(path)
    return corpus
