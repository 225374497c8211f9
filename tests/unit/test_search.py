"""Search: against a hand-written greedy loop and an exhaustive one, and what every output keeps."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from translator.config import SearchConfig
from translator.model import Seq2Seq
from translator.search import Hypothesis, search
from translator.tokenizer import BOS, EOS, PAD, UNK

Build = Callable[..., Seq2Seq]
UNWRITABLE = (PAD, UNK, BOS)
VOCABULARY = 24


@pytest.fixture
def model_of(tiny_model: Build) -> Build:
    """Untrained models that are surer of themselves than a fresh one, and that end where they are told to."""

    def build(vocab_size: int = VOCABULARY, end: float = 0.0, sharpness: float = 3.0, **overrides: Any) -> Seq2Seq:
        model = tiny_model(vocab_size, **({"tie_embeddings": False} | overrides))
        with torch.no_grad():
            model.output.weight *= sharpness
            model.output.bias[EOS] += end
        return model

    return build


def sentences(n: int, seed: int = 7, longest: int = 9, vocab_size: int = VOCABULARY) -> list[list[int]]:
    rng = random.Random(seed)
    return [[*(rng.randrange(4, vocab_size) for _ in range(rng.randint(1, longest))), EOS] for _ in range(n)]


def limit(source: Sequence[int], config: SearchConfig) -> int:
    return int(config.max_length_factor * len(source)) + config.max_length_extra


def length_term(length: int, config: SearchConfig) -> float:
    return ((5 + length) / 6) ** config.length_penalty


@torch.inference_mode()
def teacher_forced(model: Seq2Seq, source: Sequence[int], output: Sequence[int]) -> tuple[float, torch.Tensor | None]:
    """Log-probability of `output` (the end included, if it ends) and its attention, in one call over all steps."""
    state = model.encode(torch.tensor([list(source)]), torch.tensor([len(source)]))
    read_out, weights, _ = model.decode(torch.tensor([[BOS, *output[:-1]]]), state)
    log_probs = model.logits(read_out).log_softmax(-1)[0]
    total = float(log_probs[torch.arange(len(output)), torch.tensor(list(output))].sum())
    return total, None if weights is None else weights[0]


@torch.inference_mode()
def greedy(model: Seq2Seq, source: Sequence[int], config: SearchConfig) -> tuple[list[int], float]:
    """The likeliest piece at every step until the end of sentence or the length limit."""
    state = model.encode(torch.tensor([list(source)]), torch.tensor([len(source)]))
    output, total = [BOS], 0.0
    n = config.no_repeat_ngram
    for step in range(1, limit(source, config) + 1):
        read_out, _, state = model.decode(torch.tensor([output[-1:]]), state)
        scores = model.logits(read_out)[0, 0].log_softmax(-1)
        scores[list(UNWRITABLE)] = -torch.inf
        if step <= config.min_length:
            scores[EOS] = -torch.inf
        for token in range(len(scores)):
            gram = [*output, token][-n:]
            if n and len(gram) == n and any(output[i : i + n] == gram for i in range(len(output) - n + 1)):
                scores[token] = -torch.inf
        token = int(scores.argmax())
        total += float(scores[token])
        if token == EOS:
            break
        output.append(token)
    return output[1:], total


def ids(results: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [[h.ids for h in hypotheses] for hypotheses in results]


# --- against simpler searches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [-1.0, 1.0, 2.5])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("ngram", [0, 2])
def test_a_beam_of_one_is_greedy_search(model_of: Build, alpha: float, end: float, ngram: int) -> None:
    model = model_of(end=end)
    config = SearchConfig(
        beam_size=1, length_penalty=alpha, no_repeat_ngram=ngram, max_length_factor=1, max_length_extra=8
    )
    sources = sentences(25)
    for source, (found,) in zip(sources, search(model, sources, config, UNWRITABLE), strict=True):
        expected, total = greedy(model, source, config)
        assert found.ids == expected
        assert found.log_probability == pytest.approx(total, abs=1e-4)


def test_greedy_search_stops_at_the_end_even_where_going_on_would_score_higher(model_of: Build) -> None:
    model = model_of(sharpness=0.0)  # the same distribution at every step: the end, then 4 by a hair
    with torch.no_grad():
        model.output.bias[EOS], model.output.bias[4] = 10.0, 9.99
    config = SearchConfig(beam_size=1, min_length=0, no_repeat_ngram=0, length_penalty=3.0)
    assert greedy(model, [5, EOS], config)[0] == []
    assert search(model, [[5, EOS]], config, UNWRITABLE)[0][0].ids == []


def every_output(
    model: Seq2Seq, source: Sequence[int], config: SearchConfig, words: Sequence[int]
) -> list[tuple[float, list[int]]]:
    """Every finished output within the length limit, scored as SearchConfig says, the best first."""
    scored = []
    for length in range(config.min_length, limit(source, config)):
        for output in itertools.product(words, repeat=length):
            total, attention = teacher_forced(model, source, [*output, EOS])
            score = total / length_term(length + 1, config)
            if config.coverage_penalty and attention is not None:
                score += config.coverage_penalty * float(attention.sum(0).clamp(max=1).log().sum())
            scored.append((score, list(output)))
    return sorted(scored, reverse=True)


@pytest.mark.parametrize("coverage", [0.0, 0.4])
@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("end", [-1.0, 0.5, 2.0])
def test_a_beam_that_holds_everything_finds_the_best_of_all(
    model_of: Build, alpha: float, coverage: float, end: float
) -> None:
    model = model_of(vocab_size=7, end=end)
    config = SearchConfig(
        beam_size=100,
        n_best=10,
        length_penalty=alpha,
        coverage_penalty=coverage,
        no_repeat_ngram=0,
        max_length_factor=0,
        max_length_extra=4,
    )
    sources = sentences(3, vocab_size=7, longest=4)
    for source, found in zip(sources, search(model, sources, config, UNWRITABLE), strict=True):
        expected = every_output(model, source, config, words=(4, 5, 6))[:10]
        assert [h.score for h in found] == pytest.approx([score for score, _ in expected], abs=1e-4)
        assert [h.ids for h in found] == [output for _, output in expected]


def test_a_wider_beam_finds_likelier_outputs_on_the_whole(model_of: Build) -> None:
    model = model_of(end=1.0)
    sources = sentences(30)
    means = []
    for beam in (1, 3, 10):
        found = search(model, sources, SearchConfig(beam_size=beam, no_repeat_ngram=0), UNWRITABLE)
        means.append(sum(h.score for (h,) in found) / len(found))
    assert means[0] < means[1] <= means[2]


# --- a sentence and its batch -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"attention": "none"},
        {"attention": "additive", "cell": "gru"},
        {"bidirectional": False, "cell": "rnn", "attention": "dot"},
    ],
    ids=str,
)
def test_results_do_not_depend_on_the_batch(model_of: Build, overrides: dict[str, Any], beam: int) -> None:
    model = model_of(end=1.0, **overrides)
    config = SearchConfig(beam_size=beam, n_best=min(beam, 2), coverage_penalty=0.1, max_length_extra=6)
    sources = sentences(24)
    together = search(model, sources, config, UNWRITABLE)
    for size in (1, 3, 16):
        order = random.Random(size).sample(range(len(sources)), len(sources))
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            found = search(model, [sources[i] for i in rows], config, UNWRITABLE)
            assert ids(found) == [[h.ids for h in together[i]] for i in rows]
            for i, hypotheses in zip(rows, found, strict=True):
                assert [h.score for h in hypotheses] == pytest.approx([h.score for h in together[i]], abs=1e-4)


def test_the_same_sentence_twice_in_a_batch_has_the_same_result(model_of: Build) -> None:
    source = sentences(1)[0]
    first, _, third = search(model_of(end=1.0), [source, *sentences(1, seed=8), source], SearchConfig(), UNWRITABLE)
    assert first[0].ids == third[0].ids


def test_an_empty_batch_is_no_results(model_of: Build) -> None:
    assert search(model_of(), [], SearchConfig(), UNWRITABLE) == []


# --- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [-30.0, 0.0, 3.0])
@pytest.mark.parametrize("n", [1, 3, 5])
def test_n_best_are_n_sorted_and_distinct(model_of: Build, n: int, end: float) -> None:
    for hypotheses in search(model_of(end=end), sentences(20), SearchConfig(beam_size=5, n_best=n), UNWRITABLE):
        assert len(hypotheses) == n
        assert len({tuple(h.ids) for h in hypotheses}) == n
        scores = [h.score for h in hypotheses]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("attention", ["multihead", "none"])
@pytest.mark.parametrize("end", [-30.0, 1.0])  # cut off at the length limit; ended
def test_scores_are_those_the_model_gives(model_of: Build, attention: str, end: float) -> None:
    model = model_of(end=end, attention=attention)
    config = SearchConfig(beam_size=4, n_best=3, max_length_factor=1, max_length_extra=3)
    sources = sentences(15)
    for source, hypotheses in zip(sources, search(model, sources, config, UNWRITABLE), strict=True):
        for h in hypotheses:
            cut = len(h.ids) == limit(source, config)
            output = h.ids if cut else [*h.ids, EOS]
            total, _ = teacher_forced(model, source, output)
            assert h.log_probability == pytest.approx(total, abs=1e-4)
            assert h.score == pytest.approx(total / length_term(len(output), config), abs=1e-4)


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("minimum", [0, 1, 4, 7])
def test_no_output_is_shorter_than_the_minimum(model_of: Build, minimum: int, beam: int) -> None:
    config = SearchConfig(beam_size=beam, n_best=beam, min_length=minimum)
    lengths = [len(h.ids) for found in search(model_of(end=9.0), sentences(12), config, UNWRITABLE) for h in found]
    assert min(lengths) == minimum


@pytest.mark.parametrize("beam", [1, 4])
def test_no_output_is_longer_than_the_limit(model_of: Build, beam: int) -> None:
    sources = sentences(12)
    config = SearchConfig(beam_size=beam, n_best=beam, max_length_factor=0.5, max_length_extra=2, no_repeat_ngram=0)
    for source, hypotheses in zip(sources, search(model_of(end=-50.0), sources, config, UNWRITABLE), strict=True):
        assert [len(h.ids) for h in hypotheses] == [limit(source, config)] * beam


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_no_ngram_occurs_twice(model_of: Build, n: int, beam: int) -> None:
    model = model_of(end=-3.0)
    free = SearchConfig(beam_size=beam, n_best=beam, no_repeat_ngram=0, max_length_extra=20)

    def repeats(config: SearchConfig) -> int:
        count = 0
        for hypotheses in search(model, sentences(10), config, UNWRITABLE):
            assert hypotheses
            for h in hypotheses:
                grams = [tuple(h.ids[i : i + n]) for i in range(len(h.ids) - n + 1)]
                count += len(grams) - len(set(grams))
        return count

    assert repeats(free) > 0
    assert repeats(replace(free, no_repeat_ngram=n)) == 0


def test_unwritable_ids_never_appear_however_likely(model_of: Build) -> None:
    forbidden = (*UNWRITABLE, 7, 11)
    model = model_of(end=-1.0)
    with torch.no_grad():
        model.output.bias[list(forbidden)] += 10.0
    found = search(model, sentences(15), SearchConfig(n_best=5), forbidden)
    produced = {token for hypotheses in found for h in hypotheses for token in h.ids}
    assert produced
    assert not produced & {*forbidden, EOS}


@pytest.mark.parametrize("beam", [1, 5])
@pytest.mark.parametrize("end", [-30.0, 1.0])
def test_outputs_hold_neither_start_nor_end_nor_padding(model_of: Build, end: float, beam: int) -> None:
    found = search(model_of(end=end), sentences(15), SearchConfig(beam_size=beam, n_best=beam), UNWRITABLE)
    assert not {token for hypotheses in found for h in hypotheses for token in h.ids} & {PAD, BOS, EOS}


def test_a_stronger_length_penalty_makes_outputs_longer(model_of: Build) -> None:
    model = model_of(end=1.0, sharpness=6.0)

    def mean_length(alpha: float) -> float:
        found = search(model, sentences(30), SearchConfig(beam_size=8, length_penalty=alpha), UNWRITABLE)
        return sum(len(h.ids) for (h,) in found) / len(found)

    assert mean_length(0.0) <= mean_length(1.0) < mean_length(2.0)
    assert mean_length(0.5) < mean_length(3.0)


# --- attention and coverage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["dot", "multihead", "additive"])
@pytest.mark.parametrize("beam", [1, 4])
def test_the_attention_kept_is_the_models_own(model_of: Build, attention: str, beam: int) -> None:
    model = model_of(end=1.0, attention=attention)
    sources = sentences(12)
    config = SearchConfig(beam_size=beam, n_best=beam)
    ended = 0
    for source, hypotheses in zip(
        sources, search(model, sources, config, UNWRITABLE, keep_attention=True), strict=True
    ):
        for h in hypotheses:
            assert h.attention.shape[1] == len(source)
            assert torch.allclose(h.attention.sum(1), torch.ones(len(h.attention)), atol=1e-5)
            if len(h.ids) < limit(source, config):
                ended += 1
                assert len(h.attention) == len(h.ids) + 1
                assert torch.allclose(h.attention, teacher_forced(model, source, [*h.ids, EOS])[1], atol=1e-4)
    assert ended >= 6


def test_an_output_cut_at_the_limit_keeps_an_attention_row_for_each_piece(model_of: Build) -> None:
    config = SearchConfig(beam_size=2, max_length_factor=0, max_length_extra=4)
    for (h,) in search(model_of(end=-50.0), sentences(5), config, UNWRITABLE, keep_attention=True):
        assert len(h.ids) == 4
        assert len(h.attention) == len(h.ids)  # no row for an end that was not reached


def test_attention_is_left_out_unless_asked_for(model_of: Build) -> None:
    assert search(model_of(), sentences(1), SearchConfig(), UNWRITABLE)[0][0].attention is None


@pytest.mark.parametrize("coverage", [0.0, 0.5])
def test_a_model_without_attention_has_none_to_keep(model_of: Build, coverage: float) -> None:
    config = SearchConfig(coverage_penalty=coverage)
    for (h,) in search(model_of(attention="none"), sentences(4), config, UNWRITABLE, keep_attention=True):
        assert h.attention is None


def test_the_coverage_penalty_lowers_scores_by_what_was_not_looked_at(model_of: Build) -> None:
    model = model_of(end=1.0, sharpness=6.0)
    sources = sentences(20)
    config = SearchConfig(beam_size=6, n_best=4)
    penalties = []
    plain = search(model, sources, config, UNWRITABLE)
    covered = search(model, sources, replace(config, coverage_penalty=0.5), UNWRITABLE)
    for source, hypotheses in zip(sources, covered, strict=True):
        for h in hypotheses:
            output = [*h.ids, EOS] if len(h.ids) < limit(source, config) else h.ids
            total, attention = teacher_forced(model, source, output)
            penalties.append(0.5 * float(attention.sum(0).clamp(max=1).log().sum()))
            assert h.score == pytest.approx(total / length_term(len(output), config) + penalties[-1], abs=1e-3)
    assert max(penalties) <= 0
    assert min(penalties) < -0.1
    assert ids(plain) != ids(covered)
