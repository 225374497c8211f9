"""The encoder: embeddings through bidirectional (or forward-only) recurrent layers."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from translator.config import ModelConfig
from translator.model.cells import BidirectionalLayer, RecurrentLayer
from translator.model.dropout import SentenceDropout


class Encoder(nn.Module):
    """Embedded source [batch, source, embedding] → states [batch, source, hidden]; residual from layer 2 on."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        sizes = [config.embedding_size] + [config.hidden_size] * config.encoder_layers
        layer = BidirectionalLayer if config.bidirectional else RecurrentLayer
        self.layers = nn.ModuleList(layer(config.cell, a, b) for a, b in pairwise(sizes))
        self.dropout = SentenceDropout(config.dropout)
        self.norm = nn.LayerNorm(config.hidden_size)

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Encode sentences of `lengths` [batch]; what stands in padded positions is meaningless and must be masked."""
        x = self.dropout(embedded)
        for i, layer in enumerate(self.layers):
            y = layer(x, lengths) if isinstance(layer, BidirectionalLayer) else layer(x)[0]
            x = self.dropout(y) + x if i else self.dropout(y)
        normalised: Tensor = self.norm(x)
        return normalised
