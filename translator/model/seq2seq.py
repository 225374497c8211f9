"""The whole model: embeddings, encoder, decoder and output layer."""

from __future__ import annotations

import math

from torch import Tensor, nn

from translator.config import ModelConfig
from translator.model.decoder import Decoder, DecoderState
from translator.model.dropout import SentenceDropout
from translator.model.encoder import Encoder
from translator.model.loss import cross_entropy

PAD = 0


class Seq2Seq(nn.Module):
    """Attentional encoder–decoder over one joint vocabulary.

    `encode` opens a sentence, `decode` takes one step or all of them, `logits` scores the vocabulary, `loss` trains.
    """

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.source_embedding = nn.Embedding(vocab_size, config.embedding_size)
        nn.init.normal_(self.source_embedding.weight, std=config.embedding_size**-0.5)
        self.target_embedding = self.source_embedding
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.output = nn.Linear(config.embedding_size, vocab_size)
        nn.init.zeros_(self.output.bias)
        if config.tie_embeddings:  # Press & Wolf 2017
            self.output.weight = self.source_embedding.weight
        else:
            self.target_embedding = nn.Embedding(vocab_size, config.embedding_size)
            nn.init.normal_(self.target_embedding.weight, std=config.embedding_size**-0.5)
        self.scale = math.sqrt(config.embedding_size)  # tied vectors are short for the softmax's sake
        self.read_out_dropout = SentenceDropout(config.dropout)

    def encode(self, source: Tensor, lengths: Tensor) -> DecoderState:
        """Read padded sources [batch, source] of `lengths` [batch]; return the state before the first target word."""
        return self.decoder.start(self.encoder(self.source_embedding(source) * self.scale, lengths), lengths)

    def decode(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, Tensor | None, DecoderState]:
        """Feed target `tokens` [batch, T], T ≥ 1; see Decoder.forward for what comes back."""
        output: tuple[Tensor, Tensor | None, DecoderState]
        output = self.decoder(self.target_embedding(tokens) * self.scale, state)
        return output

    def logits(self, read_out: Tensor) -> Tensor:
        """Score the vocabulary: [..., embedding] → [..., vocabulary]."""
        scores: Tensor = self.output(read_out)
        return scores

    def forward(
        self, source: Tensor, lengths: Tensor, target_in: Tensor, target_out: Tensor, label_smoothing: float = 0.0
    ) -> Tensor:
        """Return the cross-entropy summed over target pieces (natural logarithm).

        `target_in` [batch, target] begins with the start symbol, `target_out` ends with the end of sentence; padding is
        0. The softmax, the dearest layer, is computed at real positions only.
        """
        read_out, _, _ = self.decode(target_in, self.encode(source, lengths))
        real = target_out != PAD
        logits = self.logits(self.read_out_dropout(read_out)[real])
        return cross_entropy(logits, target_out[real], label_smoothing)


def count_parameters(model: nn.Module) -> int:
    """Return the number of trained weights; tied ones count once."""
    return sum(p.numel() for p in model.parameters())
