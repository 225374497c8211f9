"""Batches: every example its weight, within the budget, the same in every run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from translator.corpus.batch import WIDTH, make_batch, plan_epoch
from translator.corpus.encode import EncodedCorpus, Pair, encode_corpus
from translator.tokenizer import BOS, EOS, PAD, UNK, Tokenizer

FIRST = EncodedCorpus.first_piece


def corpus_of(
    lengths: Sequence[tuple[int, int]], weights: Sequence[float] | None = None, seed: int = 1
) -> EncodedCorpus:
    """Examples of (source, target) `lengths`; sources are a tag, pieces and the end of sentence."""
    rng = np.random.default_rng(seed)
    flat: list[int] = []
    ends = []
    for source, target in lengths:
        flat += [4, *rng.integers(FIRST, 999, source - 2).tolist(), EOS]
        ends.append(len(flat))
        flat += rng.integers(FIRST, 999, target).tolist()
        ends.append(len(flat))
    if weights is None:
        weights = [1.0] * len(lengths)
    return EncodedCorpus(np.array(flat, np.uint16), np.array(ends, np.int64), np.array(weights, np.float64))


def counts(corpus: EncodedCorpus, epoch: int, seed: int = 1, batch_tokens: int = 100) -> Counter[int]:
    return Counter(int(i) for batch in plan_epoch(corpus, batch_tokens, seed, epoch) for i in batch)


shapes = st.lists(st.tuples(st.integers(2, 40), st.integers(1, 40)), max_size=40)


# --- the plan ---------------------------------------------------------------------------------------------------------


@given(shapes, st.integers(8, 300), st.integers(0, 99))
def test_each_example_occurs_once_and_no_batch_breaks_the_budget(
    lengths: list[tuple[int, int]], batch_tokens: int, epoch: int
) -> None:
    corpus = corpus_of(lengths)
    plan = plan_epoch(corpus, batch_tokens, 1, epoch)
    assert sorted(int(i) for batch in plan for i in batch) == list(range(len(lengths)))
    for examples in plan:
        batch = make_batch(corpus, examples)
        assert len(examples) == 1 or max(batch.source.numel(), batch.target_in.numel()) <= batch_tokens


@given(st.lists(st.integers(1, 4), min_size=1, max_size=20))
def test_a_whole_weight_is_that_many_copies_in_every_epoch(weights: list[int]) -> None:
    corpus = corpus_of([(5, 5)] * len(weights), [float(w) for w in weights])
    for epoch in range(3):
        assert counts(corpus, epoch) == dict(enumerate(weights))


def test_a_fractional_weight_is_that_share_of_the_epochs() -> None:
    weights = [0.2, 0.5, 1.0, 2.25, 0.9] * 4
    corpus = corpus_of([(5, 5)] * len(weights), weights)
    epochs = 400
    total: Counter[int] = Counter()
    for epoch in range(epochs):
        found = counts(corpus, epoch)
        assert all(found[i] in (math.floor(w), math.ceil(w)) for i, w in enumerate(weights))
        total += found
    for i, weight in enumerate(weights):
        share = weight % 1
        assert total[i] / epochs == pytest.approx(weight, abs=4 * math.sqrt(share * (1 - share) / epochs) + 1e-9)


def as_lists(plan: Sequence[np.ndarray]) -> list[list[int]]:
    return [batch.tolist() for batch in plan]


def test_the_same_seed_and_epoch_give_the_same_plan_and_others_differ() -> None:
    corpus = corpus_of([(2 + i % 17, 1 + i % 13) for i in range(200)], [0.5 + i % 2 for i in range(200)])
    plan = as_lists(plan_epoch(corpus, 100, seed=3, epoch=5))
    assert plan == as_lists(plan_epoch(corpus, 100, seed=3, epoch=5))
    assert plan != as_lists(plan_epoch(corpus, 100, seed=3, epoch=6))
    assert plan != as_lists(plan_epoch(corpus, 100, seed=4, epoch=5))


def test_epochs_differ_in_company_and_not_only_in_order() -> None:
    corpus = corpus_of([(8, 7)] * 100)
    companies = [{frozenset(batch) for batch in as_lists(plan_epoch(corpus, 80, 1, epoch))} for epoch in (0, 1)]
    assert companies[0] != companies[1]


def test_batches_come_in_no_order_of_length() -> None:
    corpus = corpus_of([(length, length) for length in range(2, 40)] * 10)
    widths = [make_batch(corpus, batch).source.shape[1] for batch in plan_epoch(corpus, 200, 1, 0)]
    assert widths != sorted(widths)
    assert widths != sorted(widths, reverse=True)


def test_similar_lengths_share_a_batch() -> None:
    rng = np.random.default_rng(2)
    lengths = [(int(n), int(n)) for n in rng.integers(3, 60, 1000)]
    corpus = corpus_of(lengths)
    positions = sum(make_batch(corpus, batch).source.numel() for batch in plan_epoch(corpus, 600, 1, 0))
    assert sum(n for n, _ in lengths) / positions > 0.85


def test_an_empty_corpus_is_an_empty_plan() -> None:
    assert plan_epoch(corpus_of([]), 100, 1, 0) == []


# --- the batch --------------------------------------------------------------------------------------------------------


@given(shapes.filter(bool))
def test_a_batch_holds_its_pairs_between_start_end_and_padding(lengths: list[tuple[int, int]]) -> None:
    corpus = corpus_of(lengths)
    batch = make_batch(corpus, range(len(corpus)))
    assert batch.source.shape[1] % WIDTH == batch.target_in.shape[1] % WIDTH == 0
    assert batch.target_in.shape == batch.target_out.shape
    assert batch.source.shape[1] - max(s for s, _ in lengths) < WIDTH
    assert batch.lengths.tolist() == [s for s, _ in lengths]
    assert batch.target_tokens == sum(t + 1 for _, t in lengths)
    for row, (source, target) in enumerate(corpus[i] for i in range(len(corpus))):
        s, t = len(source), len(target)
        assert batch.source[row].tolist() == [*source, *[PAD] * (batch.source.shape[1] - s)]
        rest = [PAD] * (batch.target_in.shape[1] - t - 1)
        assert batch.target_in[row].tolist() == [BOS, *target, *rest]
        assert batch.target_out[row].tolist() == [*target, EOS, *rest]


def test_a_batch_holds_what_the_model_takes() -> None:
    batch = make_batch(corpus_of([(5, 4), (7, 2)]), [1, 0])
    assert {t.dtype for t in (batch.source, batch.lengths, batch.target_in, batch.target_out)} == {torch.int64}
    assert batch.lengths.tolist() == [7, 5]


def test_word_dropout_hits_its_share_of_the_input_words_and_nothing_else() -> None:
    corpus = corpus_of([(30, 28), (20, 39)] * 100)
    clean = make_batch(corpus, range(len(corpus)))
    batch = make_batch(corpus, range(len(corpus)), 0.1, 0.3, np.random.default_rng(5))
    for before, after, share in ((clean.source, batch.source, 0.1), (clean.target_in, batch.target_in, 0.3)):
        dropped = before != after
        assert (after[dropped] == UNK).all()
        assert (before[dropped] >= FIRST).all()  # no tag, start, end or padding
        words = int((before >= FIRST).sum())
        assert int(dropped.sum()) / words == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / words))
    assert torch.equal(clean.target_out, batch.target_out)
    assert torch.equal(clean.lengths, batch.lengths)


def test_word_dropout_spares_tags_and_placeholders_of_real_sentences(tokenizer: Tokenizer) -> None:
    pairs = [Pair("오늘은 <ph0> 날씨가 좋아요.", "The weather is <ph0> fine today.")]
    corpus = encode_corpus(pairs, tokenizer, ["ko-en", "en-ko"], 100)
    batch = make_batch(corpus, [0, 1], 0.999, 0.999, np.random.default_rng(5))
    for row, direction in enumerate(["<2en>", "<2ko>"]):
        pieces = tokenizer.pieces(batch.source[row, : batch.lengths[row]].tolist())
        assert pieces[0] == direction
        assert "<ph0>" in pieces
        assert pieces[-1] == "</s>"
        assert pieces.count("<unk>") >= len(pieces) - 5
    assert (batch.target_in[:, 0] == BOS).all()


def test_word_dropout_is_the_same_for_the_same_generator() -> None:
    corpus = corpus_of([(30, 28)] * 5)
    a, b, c = (make_batch(corpus, range(5), 0.2, 0.2, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert torch.equal(a.source, b.source)
    assert torch.equal(a.target_in, b.target_in)
    assert not torch.equal(a.source, c.source)


def test_without_a_generator_or_a_share_nothing_is_dropped() -> None:
    corpus = corpus_of([(30, 28)] * 5)
    clean = make_batch(corpus, range(5))
    for batch in (make_batch(corpus, range(5), 0.5, 0.5), make_batch(corpus, range(5), rng=np.random.default_rng(1))):
        assert torch.equal(batch.source, clean.source)
        assert torch.equal(batch.target_in, clean.target_in)
