"""The decoder: GNMT-v2 wiring, where every layer runs over all target steps in one fused call."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from translator.config import ModelConfig
from translator.model.attention import Attention, Memory
from translator.model.cells import RecurrentLayer, State
from translator.model.dropout import SentenceDropout


@dataclass
class DecoderState:
    """Everything the next step depends on."""

    memory: Memory
    layers: list[State]  # one state a layer, each tensor [batch, hidden]

    def select(self, rows: Tensor) -> DecoderState:
        """Return the state of the hypotheses `rows` [n], in that order (search reorders, repeats and drops them)."""
        return DecoderState(self.memory.select(rows), [tuple(s[rows] for s in layer) for layer in self.layers])


class Decoder(nn.Module):
    """Layer 1 reads the target, its outputs query the source, the context joins every higher layer and the read-out.

    Because the query is layer 1's output of the same step and no layer is fed the read-out of the step before,
    teacher forcing needs no loop over time (Wu et al. 2016, §3; "GNMT v2" of MLPerf).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.cell = config.cell
        self.bridge = nn.Linear(hidden, hidden * config.decoder_layers * (2 if config.cell == "lstm" else 1))
        self.first = RecurrentLayer(config.cell, config.embedding_size, hidden)
        self.attention = Attention(config.attention, hidden, config.heads)
        self.higher = nn.ModuleList(
            RecurrentLayer(config.cell, 2 * hidden, hidden) for _ in range(config.decoder_layers - 1)
        )
        self.read_out = nn.Linear(2 * hidden, config.embedding_size)
        self.norm = nn.LayerNorm(hidden)
        self.dropout = SentenceDropout(config.dropout)

    def start(self, states: Tensor, lengths: Tensor) -> DecoderState:
        """Open a sentence from encoder states [batch, source, hidden]."""
        padding = torch.arange(states.shape[1], device=lengths.device).unsqueeze(0) >= lengths.unsqueeze(1)
        kept = states.masked_fill(padding.unsqueeze(-1), 0.0)
        # The mean serves uni- and bidirectional encoders alike and shortens the gradient's way to each word.
        summary = kept.sum(1) / lengths.unsqueeze(1)
        parts = torch.tanh(self.bridge(summary)).chunk(
            (1 + len(self.higher)) * (2 if self.cell == "lstm" else 1), dim=-1
        )
        n = 2 if self.cell == "lstm" else 1
        layers: list[State] = [tuple(parts[i : i + n]) for i in range(0, len(parts), n)]
        return DecoderState(self.attention.remember(kept, padding, summary), layers)

    def forward(self, embedded: Tensor, state: DecoderState) -> tuple[Tensor, Tensor | None, DecoderState]:
        """Read `embedded` [batch, T, embedding], T ≥ 1, after `state`.

        Returns the read-out [batch, T, embedding], attention weights [batch, T, source] (None without attention) and
        the state after the last step. Calling it step by step gives what one call over all steps gives.
        """
        x, after = self.first(self.dropout(embedded), state.layers[0])
        layers = [after]
        context, weights = self.attention(x, state.memory)
        x, context = self.dropout(x), self.dropout(context.to(x.dtype))
        for layer, before in zip(self.higher, state.layers[1:], strict=True):
            y, after = layer(torch.cat([x, context], dim=-1), before)
            layers.append(after)
            x = self.dropout(y) + x
        output = self.read_out(torch.cat([self.norm(x), context], dim=-1))
        return output, weights, DecoderState(state.memory, layers)
