"""Dropout with one mask for a whole sentence."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SentenceDropout(nn.Module):
    """Drop the same features at every time step (Gal & Ghahramani 2016).

    Besides regularising recurrent layers better it draws 1/time as many random numbers, which are not free on a CPU.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, time, features] to the same shape; the identity outside training."""
        if not self.training or not self.p:
            return x
        keep = torch.rand(x.shape[0], 1, x.shape[2], device=x.device) >= self.p
        return x * (keep.to(x.dtype) / (1 - self.p))
