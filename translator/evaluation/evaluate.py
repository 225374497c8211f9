"""Evaluation of a translator on a test set, as a user would run it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from translator.config import LANGUAGES_OF, Direction
from translator.evaluation.metrics import Score, score
from translator.pipeline import Translator


@dataclass(frozen=True)
class Evaluation:
    """One direction of one test set."""

    direction: Direction
    sentences: int
    scores: list[Score]
    outputs: list[str]
    seconds: float  # of translation alone


def evaluate(
    translator: Translator,
    pairs: Sequence[tuple[str, str]],
    direction: Direction,
    beam_size: int = 5,
    batch_size: int = 32,
) -> Evaluation:
    """Translate the source side of `pairs` (Korean, English) and score it against the other.

    Korean output has the default speech level: what the references have is not told to the model.
    """
    korean, english = [ko for ko, _ in pairs], [en for _, en in pairs]
    sources, references = (korean, english) if direction == "ko-en" else (english, korean)
    source, target = LANGUAGES_OF[direction]
    start = time.perf_counter()
    results = translator.translate(sources, source=source, target=target, beam_size=beam_size, batch_size=batch_size)
    seconds = time.perf_counter() - start
    outputs = [result.text for result in results]
    return Evaluation(direction, len(pairs), score(outputs, references, target), outputs, seconds)
