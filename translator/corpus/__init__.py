"""Parallel corpora: load, clean, encode, batch."""

from translator.corpus.clean import clean_pairs, prepare
from translator.corpus.load import load_pairs, load_source, read_test_set

__all__ = ["clean_pairs", "load_pairs", "load_source", "prepare", "read_test_set"]
