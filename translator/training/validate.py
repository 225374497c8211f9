"""Validation: loss and real decoding of the dev set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from translator.config import LANGUAGES_OF, CorpusConfig, SearchConfig
from translator.corpus.batch import make_batch
from translator.corpus.encode import Pair, encode_corpus
from translator.evaluation.metrics import score
from translator.model import Seq2Seq
from translator.search import search
from translator.text import DEFAULT_LEVEL
from translator.tokenizer import EOS, Tokenizer


@dataclass(frozen=True)
class Validation:
    """What one validation measured."""

    loss: float  # nats a target piece, without label smoothing
    scores: dict[str, float]  # "ko-en BLEU", "ko-en chrF2", …
    chrf: float  # mean over the directions: what models are chosen by


def validate(
    model: Seq2Seq, tokenizer: Tokenizer, dev: Sequence[tuple[str, str]], corpus: CorpusConfig, sentences: int
) -> Validation:
    """Measure `model` (in evaluation mode) on the first `sentences` pairs of `dev`, with greedy search."""
    device = next(model.parameters()).device
    dev = dev[:sentences]
    pairs = [Pair(ko, en) for ko, en in dev]
    encoded = encode_corpus(pairs, tokenizer, corpus.directions, corpus.max_tokens, corpus.speech_levels)
    loss, tokens = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(encoded), 64):
            batch = make_batch(encoded, range(start, min(start + 64, len(encoded))))
            parts = (batch.source, batch.lengths, batch.target_in, batch.target_out)
            loss += float(model(*(part.to(device) for part in parts)))
            tokens += batch.target_tokens
    scores: dict[str, float] = {}
    for direction in corpus.directions:
        sources = [ko if direction == "ko-en" else en for ko, en in dev]
        references = [en if direction == "ko-en" else ko for ko, en in dev]
        _, target = LANGUAGES_OF[direction]
        prefix = tokenizer.source_prefix(target, DEFAULT_LEVEL if corpus.speech_levels else None)
        ids = [[*prefix, *tokenizer.encode(text)[: corpus.max_tokens], EOS] for text in sources]
        outputs = [""] * len(ids)
        by_length = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for start in range(0, len(ids), 64):
            rows = by_length[start : start + 64]
            found = search(model, [ids[i] for i in rows], SearchConfig(beam_size=1), tokenizer.unwritable)
            for i, hypotheses in zip(rows, found, strict=True):
                outputs[i] = tokenizer.decode(hypotheses[0].ids) if hypotheses else ""
        for metric in score(outputs, references, target):
            scores[f"{direction} {metric.name}"] = metric.value
    chrf = [value for name, value in scores.items() if "chrF" in name]
    return Validation(loss / max(tokens, 1), scores, sum(chrf) / len(chrf))
