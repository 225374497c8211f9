"""Token-budget batches, bucketed by length and shuffled anew each epoch, the same in every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from translator.corpus.encode import EncodedCorpus
from translator.tokenizer import BOS, EOS, PAD, UNK

WIDTH = 4  # widths are multiples of this: few shapes, so kernels and memory are reused


@dataclass(frozen=True)
class Batch:
    """Padded sentence pairs; padding is 0."""

    source: Tensor  # [batch, source], tags and end of sentence included
    lengths: Tensor  # [batch] of the sources
    target_in: Tensor  # [batch, target], begins with the start symbol
    target_out: Tensor  # [batch, target], ends with the end of sentence

    @property
    def target_tokens(self) -> int:
        """Number of target pieces to predict, ends included."""
        return int((self.target_out != PAD).sum())


def plan_epoch(corpus: EncodedCorpus, batch_tokens: int, seed: int, epoch: int) -> list[npt.NDArray[np.int64]]:
    """Return the epoch's batches as arrays of example numbers.

    Each example occurs weight times (a fraction: with that probability). No batch has more than `batch_tokens` padded
    positions on either side, unless a single pair has.
    """
    rng = np.random.default_rng([seed, epoch])
    whole = np.floor(corpus.weights).astype(np.int64)
    copies = whole + (rng.random(len(corpus)) < corpus.weights - whole)
    chosen = np.repeat(np.arange(len(corpus)), copies)
    rng.shuffle(chosen)  # so that equal lengths are not in corpus order
    source, target = _width(corpus.source_lengths[chosen]), _width(corpus.target_lengths[chosen] + 1)
    chosen = chosen[np.lexsort((target, source, np.maximum(source, target)))]
    batches = []
    start, widest = 0, 0
    lengths = _width(np.maximum(corpus.source_lengths[chosen], corpus.target_lengths[chosen] + 1))
    for i, length in enumerate(lengths):
        widest = max(widest, int(length))
        if i > start and (i + 1 - start) * widest > batch_tokens:
            batches.append(chosen[start:i])
            start, widest = i, int(length)
    if start < len(chosen):
        batches.append(chosen[start:])
    rng.shuffle(batches)
    return batches


def make_batch(
    corpus: EncodedCorpus,
    examples: Sequence[int] | npt.NDArray[np.int64],
    source_dropout: float = 0.0,
    target_dropout: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Batch:
    """Pad examples into one batch; word dropout replaces that share of input pieces by the unknown piece.

    Tags and ends of sentences are never dropped (Sennrich & Zhang 2019; Gal & Ghahramani 2016 drop types instead).
    """
    pairs = [corpus[i] for i in examples]
    source_width = int(_width(np.array([max(len(s) for s, _ in pairs)]))[0])
    target_width = int(_width(np.array([max(len(t) for _, t in pairs) + 1]))[0])
    source = np.full((len(pairs), source_width), PAD, dtype=np.int64)
    target_in = np.full((len(pairs), target_width), PAD, dtype=np.int64)
    target_out = np.full((len(pairs), target_width), PAD, dtype=np.int64)
    target_in[:, 0] = BOS
    for row, (s, t) in enumerate(pairs):
        source[row, : len(s)] = s
        target_in[row, 1 : len(t) + 1] = t
        target_out[row, : len(t)] = t
        target_out[row, len(t)] = EOS
    lengths = torch.tensor([len(s) for s, _ in pairs])
    if rng is not None:
        for array, share in ((source, source_dropout), (target_in, target_dropout)):
            if share:
                array[(rng.random(array.shape) < share) & (array >= corpus.first_piece)] = UNK
    return Batch(torch.from_numpy(source), lengths, torch.from_numpy(target_in), torch.from_numpy(target_out))


def _width(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return -(-lengths // WIDTH) * WIDTH
