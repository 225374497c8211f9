"""Attention over the encoder's states, for all target steps at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Kind = Literal["none", "dot", "multihead", "additive"]


@dataclass
class Memory:
    """What the decoder sees of the source: projected once, read at every step."""

    keys: Tensor  # [batch, heads, source, head]; for attention "none": the summary [batch, 1, 1, hidden]
    values: Tensor  # like keys
    padding: Tensor  # [batch, source], True where there is padding

    def select(self, rows: Tensor) -> Memory:
        """Return the memory of the sentences `rows` [n]."""
        return Memory(self.keys[rows], self.values[rows], self.padding[rows])


class Attention(nn.Module):
    """Queries [batch, target, hidden] over the source: context [batch, target, hidden] and weights.

    `dot`: scaled general product with one head (Luong et al. 2015). `multihead`: several (Vaswani et al. 2017).
    `additive`: one hidden layer scores each pair (Bahdanau et al. 2015). `none`: the same summary of the source at
    every step (Cho et al. 2014), the fixed-length bottleneck that attention was invented to remove.
    """

    def __init__(self, kind: Kind, hidden_size: int, heads: int = 1) -> None:
        super().__init__()
        self.kind = kind
        self.heads = heads if kind == "multihead" else 1
        if kind == "none":
            return
        self.norm = nn.LayerNorm(hidden_size)  # recurrent outputs are small: without it attention stays flat for long
        self.query = nn.Linear(hidden_size, hidden_size, bias=False)
        self.key = nn.Linear(hidden_size, hidden_size, bias=False)
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        if kind == "additive":
            self.score = nn.Linear(hidden_size, 1, bias=False)

    def remember(self, states: Tensor, padding: Tensor, summary: Tensor) -> Memory:
        """Project encoder states [batch, source, hidden] into a memory; `summary` is [batch, hidden]."""
        if self.kind == "none":
            bottleneck = summary[:, None, None]
            return Memory(bottleneck, bottleneck, padding)
        return Memory(self._split(self.key(states)), self._split(self.value(states)), padding)

    def forward(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor | None]:
        """Return the context and the weights [batch, target, source] (mean over heads; None for "none")."""
        if self.kind == "none":
            return memory.values[:, 0].expand(-1, queries.shape[1], -1), None
        q = self._split(self.query(self.norm(queries)))  # [batch, heads, target, head]
        if self.kind == "additive":
            pairs = torch.tanh(q.unsqueeze(3) + memory.keys.unsqueeze(2))  # [batch, 1, target, source, hidden]
            scores = self.score(pairs).squeeze(-1)
        else:
            scores = q @ memory.keys.transpose(-1, -2) / math.sqrt(q.shape[-1])
        scores = scores.float().masked_fill(memory.padding[:, None, None], float("-inf"))
        weights = scores.softmax(-1)
        context = weights.to(memory.values.dtype) @ memory.values
        return context.transpose(1, 2).flatten(2), weights.mean(1)

    def _split(self, x: Tensor) -> Tensor:
        """[batch, time, hidden] → [batch, heads, time, head]."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)
