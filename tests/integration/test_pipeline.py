"""Text in, text out from Python: shapes, order, independence of the batch, and text nobody expects."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator import pipeline, translate
from translator.config import SearchConfig
from translator.errors import TranslatorError
from translator.lines import read_chunks, render, translate_chunk
from translator.pipeline import Translation, Translator
from translator.search import Hypothesis

KOREAN = "오늘은 비가 와요."


@pytest.fixture(scope="module")
def texts(dev) -> list[str]:
    """Sentences of both languages and all lengths, and two texts of several sentences."""
    korean, english = zip(*dev[:24], strict=True)
    return [*korean, *english, " ".join(korean[:3]), "\n".join(english[:3]), "", "42"]


@pytest.fixture(scope="module")
def expected(translator: Translator, texts: list[str]) -> list[Translation]:
    """Each text translated alone."""
    return [translator.translate(text, alternatives=1, align=True) for text in texts]


def same(a: Translation, b: Translation) -> bool:
    """Equal but for the last digits of scores and attention, which depend on how products are grouped."""
    for one, other in zip([a, *a.alternatives], [b, *b.alternatives], strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)
    for one, other in zip(a.alignment, b.alignment, strict=True):
        assert one.source_tokens == other.source_tokens
        for row, other_row in zip(one.weights, other.weights, strict=True):
            assert row == pytest.approx(other_row, abs=1e-3)
    plain = [
        replace(t, score=None, alignment=(), alternatives=tuple(replace(o, score=0.0) for o in t.alternatives))
        for t in (a, b)
    ]
    return plain[0] == plain[1]


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_a_text_is_translated_the_same_alone_and_in_any_batch(translator, texts, expected, batch_size) -> None:
    found = translator.translate(texts, alternatives=1, align=True, batch_size=batch_size)
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))


def test_neither_order_nor_duplicates_matter(translator, texts, expected) -> None:
    numbers = [*range(len(texts)), *range(0, len(texts), 2)]
    random.Random(1).shuffle(numbers)
    found = translator.translate([texts[i] for i in numbers], alternatives=1, align=True, batch_size=7)
    assert [result.source_text for result in found] == [texts[i] for i in numbers]
    assert all(same(result, expected[i]) for i, result in zip(numbers, found, strict=True))


def test_a_translator_loaded_anew_gives_the_same(translator, model, texts) -> None:
    assert Translator.load(model).translate(texts) == translator.translate(texts)


def test_strings_and_lists(model) -> None:
    options = {"model": str(model), "beam_size": 2}
    one = translate(KOREAN, **options)
    assert isinstance(one, str)
    assert one
    assert translate([KOREAN], **options) == [one]
    assert translate((KOREAN, "", KOREAN), **options) == [one, "", one]
    assert translate([], **options) == []
    assert translate("", **options) == ""
    assert translate(KOREAN, target="ko", **options) == KOREAN


def test_a_translation_says_what_it_is(translator) -> None:
    result = translator.translate(KOREAN)
    assert (result.source, result.target, result.source_text) == ("ko", "en", KOREAN)
    assert result.score is not None
    assert result.score < 0
    assert result.tokens
    assert result.alternatives == result.alignment == ()
    assert translator.translate([]) == []
    nothing = translator.translate(" 7 ")
    assert (nothing.text, nothing.source, nothing.target, nothing.score, nothing.tokens) == (
        " 7 ",
        None,
        None,
        None,
        (),
    )


def test_alternatives_are_as_many_as_asked_for_distinct_and_leave_the_first_alone(translator, texts) -> None:
    for text in texts[:6]:
        plain = translator.translate(text).text
        for count in (1, 4, 7):
            result = translator.translate(text, alternatives=count)
            found = [result.text, *(other.text for other in result.alternatives)]
            assert len(set(found)) == len(found) == 1 + count
            if count < 5:  # more need a wider beam, which may find something better
                assert result.text == plain


def test_greedy_search_is_a_beam_of_1(translator, texts) -> None:
    config = SearchConfig(beam_size=9, length_penalty=0.0)
    greedy = [result.text for result in translator.translate(texts, beam_size=1)]
    assert [result.text for result in translator.translate(texts, beam_size=1, config=config)] == greedy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "fr"}, "source language 'fr'"),
        ({"target": "auto"}, "target language 'auto'"),
        ({"style": "rude"}, "style 'rude'; choose one of: polite, formal, casual, plain"),
        ({"batch_size": 0}, "batch_size"),
        ({"alternatives": -1}, "alternatives"),
        ({"alternatives": 100}, "100"),
        ({"beam_size": 1000}, "beam_size"),
    ],
)
def test_options_that_make_no_sense_are_one_clear_error(translator, options, message) -> None:
    with pytest.raises(TranslatorError) as error:
        translator.translate(KOREAN, **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_white_space_around_sentences_is_kept(translator) -> None:
    one = translator.translate(KOREAN).text
    text = f"\n\n  {KOREAN} {KOREAN}\r\n\t{KOREAN}   \n"
    assert translator.translate(text).text == text.replace(KOREAN, one)


def test_a_sentence_in_the_target_language_stays_among_others(translator) -> None:
    result = translator.translate(f"{KOREAN} It is raining. {KOREAN}", source="ko")
    one = translator.translate(KOREAN).text
    assert result.text == f"{one} It is raining. {one}"


def test_a_line_break_the_model_writes_does_not_break_the_line(translator, monkeypatch) -> None:
    tokenizer = translator._checkpoint("ko-en").tokenizer
    spelled = b"a\nb\rc\x1b\x00d\xe2\x80\xa8e\xc2\x85f"
    ids = [tokenizer._processor.piece_to_id(f"<0x{byte:02X}>") for byte in spelled]
    monkeypatch.setattr(pipeline, "search", lambda model, rows, *_, **__: [[Hypothesis(ids, -1.0, -1.0)] for _ in rows])
    assert translator.translate(KOREAN).text == "a b cd e f"


anything = st.text(
    st.one_of(
        st.sampled_from("가나다 .,!?\n\r\t\u2028\x85\x00\x1bab<>{}"),
        st.characters(codec="utf-8"),
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(anything)
def test_the_lines_of_any_text_are_as_many_as_before(translator: Translator, text: str) -> None:
    for target in ("ko", "en"):
        result = translator.translate(text, target=target, beam_size=1)
        assert result.text.count("\n") == text.count("\n")
        assert result.text.count("\r") == text.count("\r")


@settings(max_examples=60)
@given(st.one_of(st.binary(max_size=80), anything.map(str.encode)), st.sampled_from(["text", "tsv", "json"]))
def test_any_bytes_give_a_line_for_each_line(translator: Translator, content: bytes, format_: str) -> None:
    warnings: list[str] = []
    output = ""
    for chunk in read_chunks(io.BytesIO(content)):
        results = translate_chunk(translator, chunk, warnings.append, beam_size=1)
        output += "".join(render(line, result, format_) for line, result in zip(chunk, results, strict=True))
    assert output.count("\n") == content.count(b"\n") + (not content.endswith(b"\n") and bool(content))
    assert not any("failed" in warning for warning in warnings)


def test_importing_the_package_does_nothing_else(tmp_path: Path) -> None:
    program = (
        "import sys, threading, translator; from translator import __version__;"
        "heavy = {'torch', 'sentencepiece', 'datasets', 'numpy', 'click', 'rich'} & set(sys.modules);"
        "assert not heavy, heavy; assert threading.active_count() == 1; assert 'translate' in translator.__all__"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
