"""The encoder-decoder."""

from translator.model.seq2seq import Seq2Seq, count_parameters

__all__ = ["Seq2Seq", "count_parameters"]
