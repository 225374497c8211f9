"""The endless stream of batches, epoch after epoch, that can be entered at any place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from translator.config import TrainingConfig
from translator.corpus.batch import Batch, make_batch, plan_epoch
from translator.corpus.encode import EncodedCorpus


@dataclass
class BatchStream:
    """Batches as a function of the seed and the place alone, so that a resumed run sees what it would have seen."""

    corpus_of_epoch: Callable[[int], EncodedCorpus]  # the same each time, unless segmentations are sampled
    config: TrainingConfig
    epoch: int = 0
    index: int = 0  # of the next batch in the epoch
    _plan: list[npt.NDArray[np.int64]] = field(default_factory=list)
    _corpus: EncodedCorpus | None = None

    def next(self, build: bool = True) -> Batch | None:
        """Step on; return the batch, or None if `build` is false (it is another process's)."""
        if self._corpus is not None and self.index >= len(self._plan):
            self.epoch, self.index, self._corpus = self.epoch + 1, 0, None
        if self._corpus is None:
            self._corpus = self.corpus_of_epoch(self.epoch)
            self._plan = plan_epoch(self._corpus, self.config.batch_tokens, self.config.seed, self.epoch)
        place = self.index
        self.index += 1
        if not build:
            return None
        rng = np.random.default_rng([self.config.seed, self.epoch, place])
        c = self.config
        return make_batch(self._corpus, self._plan[place], c.source_word_dropout, c.target_word_dropout, rng)
