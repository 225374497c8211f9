"""The encoded corpus: both directions, tags, limits, and a cache that knows what it depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from translator.config import TokenizerConfig
from translator.corpus import encode
from translator.corpus.encode import EncodedCorpus, Pair, cached_encode, encode_corpus
from translator.text import speech_level
from translator.tokenizer import EOS, PLACEHOLDERS, TAGS, Tokenizer

BOTH = ("ko-en", "en-ko")


@pytest.fixture
def corpus_pairs(pairs: list[tuple[str, str]]) -> list[Pair]:
    return [Pair(ko, en, weight) for (ko, en), weight in zip(pairs[:40], [1.0, 0.5, 3.0, 1.0] * 10, strict=True)]


def equal(a: EncodedCorpus, b: EncodedCorpus) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("ids", "ends", "weights"))


def test_both_directions_hold_every_pair_with_its_weight(tokenizer: Tokenizer, corpus_pairs: list[Pair]) -> None:
    corpus = encode_corpus(corpus_pairs, tokenizer, BOTH, 100, speech_levels=False)
    n = len(corpus_pairs)
    assert len(corpus) == 2 * n
    assert corpus.weights.tolist() == [pair.weight for pair in corpus_pairs] * 2
    for i, pair in enumerate(corpus_pairs):
        ko, en = tokenizer.encode(pair.ko), tokenizer.encode(pair.en)
        source, target = corpus[i]
        assert (source.tolist(), target.tolist()) == ([*tokenizer.source_prefix("en"), *ko, EOS], en)
        source, target = corpus[n + i]
        assert (source.tolist(), target.tolist()) == ([*tokenizer.source_prefix("ko"), *en, EOS], ko)
    assert corpus.source_lengths.tolist() == [len(corpus[i][0]) for i in range(len(corpus))]
    assert corpus.target_lengths.tolist() == [len(corpus[i][1]) for i in range(len(corpus))]


def test_one_direction_is_half_of_both(tokenizer: Tokenizer, corpus_pairs: list[Pair]) -> None:
    both = encode_corpus(corpus_pairs, tokenizer, BOTH, 100)
    halves = [encode_corpus(corpus_pairs, tokenizer, [direction], 100) for direction in BOTH]
    assert both.ids.tolist() == [*halves[0].ids.tolist(), *halves[1].ids.tolist()]


def test_sources_into_korean_carry_the_speech_level_of_the_korean_side(
    tokenizer: Tokenizer, corpus_pairs: list[Pair]
) -> None:
    corpus = encode_corpus(corpus_pairs, tokenizer, BOTH, 100)
    levels = {speech_level(pair.ko) for pair in corpus_pairs}
    assert len(levels) > 1
    for i, pair in enumerate(corpus_pairs):
        level = speech_level(pair.ko)
        tags = ["<2ko>", f"<{level}>"] if level else ["<2ko>"]
        pieces = tokenizer.pieces(corpus[len(corpus_pairs) + i][0].tolist())
        assert [piece for piece in pieces if piece in TAGS] == tags == pieces[: len(tags)]
        assert [piece for piece in tokenizer.pieces(corpus[i][0].tolist()) if piece in TAGS] == ["<2en>"]


@pytest.mark.parametrize(("ko", "level"), [("잘 지내요.", "polite"), ("갔습니다.", "formal")])
def test_a_clear_ending_is_tagged(tokenizer: Tokenizer, ko: str, level: str) -> None:
    corpus = encode_corpus([Pair(ko, "Hello.")], tokenizer, ["en-ko"], 100)
    assert tokenizer.pieces(corpus[0][0].tolist())[:2] == ["<2ko>", f"<{level}>"]


def test_targets_hold_neither_tags_nor_ends(tokenizer: Tokenizer, corpus_pairs: list[Pair]) -> None:
    corpus = encode_corpus([*corpus_pairs, Pair("<2ko> 안녕", "</s> <2en> hi")], tokenizer, BOTH, 100)
    for i in range(len(corpus)):
        source, target = corpus[i]
        assert not set(target.tolist()) & {*tokenizer.unwritable, EOS}
        assert source.tolist().count(EOS) == 1
        assert source[-1] == EOS


def test_a_pair_with_an_empty_or_overlong_side_is_left_out_in_both_directions(tokenizer: Tokenizer) -> None:
    ko, en = "안녕하세요", "Hello there, how are you today?"
    sizes = len(tokenizer.encode(ko)), len(tokenizer.encode(en))
    pairs = [Pair(ko, en), Pair("", en), Pair(ko, "  ")]
    assert len(encode_corpus(pairs, tokenizer, BOTH, max(sizes))) == 2
    assert len(encode_corpus(pairs, tokenizer, BOTH, max(sizes) - 1)) == 0
    assert len(encode_corpus([], tokenizer, BOTH, 100)) == 0


def test_symbols_tags_and_placeholders_lie_below_the_first_piece(tokenizer: Tokenizer) -> None:
    below = tokenizer.pieces(range(EncodedCorpus.first_piece))
    assert set(below) == {"<pad>", "<unk>", "<s>", "</s>", *TAGS, *PLACEHOLDERS}
    assert tokenizer.pieces([EncodedCorpus.first_piece]) == ["<0x00>"]


def test_sampling_draws_the_same_for_the_same_seed(tokenizer: Tokenizer, corpus_pairs: list[Pair]) -> None:
    best = encode_corpus(corpus_pairs, tokenizer, BOTH, 200)
    a, b, c = (encode_corpus(corpus_pairs, tokenizer, BOTH, 200, sampling_alpha=0.3, seed=s) for s in (1, 1, 2))
    assert equal(a, b)
    assert not equal(a, c)
    assert not equal(a, best)
    for i in range(len(best)):
        assert tokenizer.decode(a[i][1].tolist()) == tokenizer.decode(best[i][1].tolist())


# --- the cache --------------------------------------------------------------------------------------------------------


def test_the_cache_gives_what_encoding_gives_and_is_read_the_second_time(
    tokenizer: Tokenizer, corpus_pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "deep" / "cache"
    fresh = encode_corpus(corpus_pairs, tokenizer, BOTH, 100)
    assert equal(cached_encode(cache, corpus_pairs, tokenizer, BOTH, 100), fresh)
    assert len(list(cache.iterdir())) == 1

    def refuse(*_: Any, **__: Any) -> EncodedCorpus:
        raise AssertionError("encoded again")

    monkeypatch.setattr(encode, "encode_corpus", refuse)
    again = cached_encode(cache, corpus_pairs, tokenizer, BOTH, 100)
    assert equal(again, fresh)
    assert [side.tolist() for side in again[3]] == [side.tolist() for side in fresh[3]]


def test_whatever_changes_the_result_changes_the_name_in_the_cache(
    tokenizer: Tokenizer, corpus_pairs: list[Pair], tmp_path: Path
) -> None:
    other = Tokenizer.train(
        [side for pair in corpus_pairs for side in pair[:2]],
        TokenizerConfig(vocab_size=540, character_coverage=0.98),
        1,
    )
    first = corpus_pairs[0]
    variants: list[dict[str, Any]] = [
        {},
        {"tokenizer": other},
        {"directions": ("ko-en",)},
        {"directions": ("en-ko", "ko-en")},
        {"max_tokens": 99},
        {"speech_levels": False},
        {"pairs": corpus_pairs[:-1]},
        {"pairs": corpus_pairs[::-1]},
        {"pairs": [first._replace(ko=first.ko + "!"), *corpus_pairs[1:]]},
        {"pairs": [first._replace(en=first.en + "!"), *corpus_pairs[1:]]},
        {"pairs": [first._replace(weight=7.0), *corpus_pairs[1:]]},
        {"pairs": [Pair(first.en, first.ko), *corpus_pairs[1:]]},
    ]
    for n, change in enumerate(variants, start=1):
        values: dict[str, Any] = {"pairs": corpus_pairs, "tokenizer": tokenizer, "directions": BOTH, "max_tokens": 100}
        arguments = values | change
        result = cached_encode(tmp_path, **arguments)
        assert len(list(tmp_path.iterdir())) == n, change
        assert equal(result, encode_corpus(**arguments))


def test_an_interrupted_write_leaves_no_half_cache(
    tokenizer: Tokenizer, corpus_pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(file: Any, **_: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(encode.np, "savez", break_off)
        with pytest.raises(OSError, match="No space"):
            cached_encode(tmp_path, corpus_pairs, tokenizer, BOTH, 100)
    assert not list(tmp_path.glob("*.npz"))
    fresh = encode_corpus(corpus_pairs, tokenizer, BOTH, 100)
    assert equal(cached_encode(tmp_path, corpus_pairs, tokenizer, BOTH, 100), fresh)
