"""BLEU and chrF as sacreBLEU computes them, with their signatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from translator.text import Language


@dataclass(frozen=True)
class Score:
    """One metric over one test set."""

    name: str
    value: float  # 0 to 100
    signature: str


def score(outputs: Sequence[str], references: Sequence[str], target: Language) -> list[Score]:
    """Return BLEU (cased, detokenized; tokenizer 13a for English, characters for Korean) and chrF2.

    Post 2018; Popović 2015. Raises ValueError if the two sides differ in length.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    if len(outputs) != len(references):
        raise ValueError(f"{len(outputs)} outputs but {len(references)} references")
    scores = []
    for metric in (BLEU(tokenize="13a" if target == "en" else "char"), CHRF()):
        result = metric.corpus_score(list(outputs), [list(references)])
        scores.append(Score(result.name, float(result.score), str(metric.get_signature())))
    return scores
