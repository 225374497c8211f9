"""What a training run says: a progress line on a terminal, a line a validation everywhere, TensorBoard if installed."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any


class Progress:
    """Reports of one run; silent in the processes that only compute."""

    def __init__(self, folder: Path, active: bool) -> None:
        self.active = active
        self.live = active and sys.stderr.isatty()
        self._shown = 0.0
        self._board: Any = None
        if active:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:  # the extra `train` is not installed: nothing else depends on it
                return
            self._board = SummaryWriter(str(folder / "tensorboard"))

    def step(self, step: int, loss: float, tokens_per_second: float, remaining_minutes: float, epoch: int) -> None:
        """Refresh the progress line, at most twice a second."""
        now = time.monotonic()
        if self.live and now - self._shown > 0.5:
            self._shown = now
            pace = f"{tokens_per_second:,.0f} tokens/s  ETA {remaining_minutes:.0f} min"
            sys.stderr.write(f"\r\033[Kstep {step}  epoch {epoch}  loss {loss:.3f}  {pace}")
            sys.stderr.flush()

    def say(self, message: str) -> None:
        """Print one line that stays."""
        if self.active:
            sys.stderr.write(("\r\033[K" if self.live else "") + message + "\n")
            sys.stderr.flush()

    def record(self, step: int, values: dict[str, float]) -> None:
        """Send figures to TensorBoard."""
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush TensorBoard."""
        if self._board is not None:
            self._board.close()
