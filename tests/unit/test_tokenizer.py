"""The tokenizer: what goes in comes out, normalised; tags are ours alone."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import pytest
import sentencepiece as spm
from hypothesis import example, given
from hypothesis import strategies as st

from translator.config import TokenizerConfig
from translator.errors import TranslatorError
from translator.text import SPEECH_LEVELS, compose_jamo
from translator.tokenizer import BOS, EOS, PAD, PLACEHOLDERS, TAGS, UNK, Tokenizer

# Text as the pipeline hands it over: no controls and invisible marks (translator.text.clean removes them).
# SentencePiece's nmt_nfkc also makes a blank of its own word mark and of U+FFFD, and leaves the full-width tilde.
CHARACTERS = st.characters(exclude_categories=("Cc", "Cf", "Cn", "Co", "Cs"), exclude_characters="\u2581\ufffd\uff5e")
KOREAN = st.text(st.sampled_from("가각힣안녕ㅋㅎㅠㅏ 하세요?!"))
TEXTS = st.one_of(st.text(CHARACTERS), KOREAN, st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x20)))


def normalised(text: str) -> str:
    return compose_jamo(unicodedata.normalize("NFKC", " ".join(unicodedata.normalize("NFKC", text).split())))


@given(TEXTS)
@example("ㅋㅋㅋ 그래 ㅠㅠ")
@example("  Hello   world  ")
@example("")
@example("ｱ ① ﬁ ½ ㎏")
@example("<2ko> <unk> <s> </s> <pad> <0x41> <polite>")
def test_decoding_gives_back_the_normalised_text(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == normalised(text)


@given(TEXTS)
def test_decomposed_text_encodes_like_composed_text(tokenizer: Tokenizer, text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    back = [tokenizer.decode(tokenizer.encode(form)) for form in (composed, unicodedata.normalize("NFD", text))]
    assert back[0] == back[1]


@pytest.mark.parametrize("text", ["안녕하세요, 반갑습니다.", "값이 너무 비싸요", "Café déjà vu", "각"])
def test_nfd_and_nfc_have_the_same_ids(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.encode(unicodedata.normalize("NFD", text)) == tokenizer.encode(unicodedata.normalize("NFC", text))


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7D)))
def test_full_width_letters_are_the_half_width_ones(tokenizer: Tokenizer, text: str) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) for c in text)
    assert tokenizer.encode(wide) == tokenizer.encode(text)


@pytest.mark.parametrize("text", ["ㅋㅋㅋ", "ㅎㅎ", "ㅠㅠㅠ", "ㅇㅇ", "ㄱㄱ", "ㅇㅋ", "ㄹㅇ ㅋㅋ"])
def test_lone_jamo_come_back_as_typed(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("text", ["🙂", "👨\u200d👩\u200d👧 가족", "❤\ufe0f", "🇰🇷", "龘", "뷁 쀍", "𝄞", "₿", "Ω ≠ ∞"])
def test_emoji_and_rare_characters_survive_as_bytes(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert UNK not in ids
    assert tokenizer.decode(ids) == normalised(text)


@given(TEXTS)
def test_text_never_encodes_to_a_control_piece(tokenizer: Tokenizer, text: str) -> None:
    assert not set(tokenizer.encode(text)) & {*tokenizer.unwritable, EOS}


@pytest.mark.parametrize("tag", [*TAGS, "<s>", "</s>", "<pad>", "<unk>"])
@pytest.mark.parametrize("frame", ["{}", "{} 안녕", "a{}b", "{0}{0}"])
def test_a_tag_that_someone_types_is_text(tokenizer: Tokenizer, tag: str, frame: str) -> None:
    text = frame.format(tag)
    ids = tokenizer.encode(text)
    assert not set(ids) & {*tokenizer.unwritable, EOS}
    assert tokenizer.decode(ids) == text
    assert not set(tokenizer.encode_batch([text], sampling_alpha=0.2)[0]) & {*tokenizer.unwritable, EOS}


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_is_one_piece(tokenizer: Tokenizer, placeholder: str) -> None:
    ids = tokenizer.encode(f"see {placeholder}, then")
    assert tokenizer.pieces(ids).count(placeholder) == 1
    assert tokenizer.decode(ids) == f"see {placeholder}, then"


def test_numbers_are_split_into_digits(pairs: list[tuple[str, str]]) -> None:
    sentences = [en for _, en in pairs] + ["the year 2026", "in 2026 or 2027", "10 of 100"] * 20
    numbers = Tokenizer.train(sentences, TokenizerConfig(vocab_size=400, character_coverage=1.0), threads=1)
    assert [piece for piece in numbers.pieces(numbers.encode("2026 10")) if piece != "▁"] == list("202610")


def test_tags_and_ends_vanish_in_decoding(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("안녕하세요")
    for target in ("ko", "en"):
        assert tokenizer.decode([BOS, *tokenizer.source_prefix(target), *ids, EOS, PAD]) == "안녕하세요"
    assert tokenizer.decode([]) == ""


def test_batch_encoding_is_encoding_one_by_one(tokenizer: Tokenizer, pairs: list[tuple[str, str]]) -> None:
    texts = [side for pair in pairs[:50] for side in pair] + [""]
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_batch([]) == []


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_sampling_varies_the_pieces_but_not_the_text(
    tokenizer: Tokenizer, pairs: list[tuple[str, str]], alpha: float
) -> None:
    texts = [ko for ko, _ in pairs[:60]]
    best, drawn = tokenizer.encode_batch(texts), tokenizer.encode_batch(texts, alpha, seed=3)
    assert drawn != best
    assert drawn == tokenizer.encode_batch(texts, alpha, seed=3)
    assert drawn != tokenizer.encode_batch(texts, alpha, seed=4)
    assert [tokenizer.decode(ids) for ids in drawn] == [tokenizer.decode(ids) for ids in best]


def test_the_source_prefix_names_the_target_and_the_level_of_korean(tokenizer: Tokenizer) -> None:
    assert tokenizer.pieces(tokenizer.source_prefix("en")) == ["<2en>"]
    assert tokenizer.pieces(tokenizer.source_prefix("ko")) == ["<2ko>"]
    for level in SPEECH_LEVELS:
        assert tokenizer.pieces(tokenizer.source_prefix("ko", level)) == ["<2ko>", f"<{level}>"]
        assert tokenizer.pieces(tokenizer.source_prefix("en", level)) == ["<2en>"]


def test_training_again_gives_the_same_model(pairs: list[tuple[str, str]], tokenizer: Tokenizer) -> None:
    sentences = [side for pair in pairs for side in pair]
    config = TokenizerConfig(vocab_size=700, character_coverage=0.98)
    assert Tokenizer.train(sentences, config, threads=1).model == Tokenizer.train(sentences, config, threads=1).model


def test_bpe_works_too(pairs: list[tuple[str, str]]) -> None:
    sentences = [side for pair in pairs for side in pair]
    bpe = Tokenizer.train(
        sentences, TokenizerConfig(vocab_size=800, model_type="bpe", character_coverage=0.98), threads=1
    )
    assert [bpe.decode(bpe.encode(text)) for text in sentences] == [normalised(text) for text in sentences]
    drawn = bpe.encode_batch(sentences, 0.3, seed=1)
    assert drawn != bpe.encode_batch(sentences)
    assert [bpe.decode(ids) for ids in drawn] == [normalised(text) for text in sentences]


def test_a_saved_model_is_the_same_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.model")
    loaded = Tokenizer.load(tmp_path / "tokenizer.model")
    assert loaded.model == tokenizer.model
    assert loaded.vocab_size == tokenizer.vocab_size
    assert loaded.encode("안녕 <2ko> hello") == tokenizer.encode("안녕 <2ko> hello")


def foreign_model(**options: object) -> bytes:
    """A SentencePiece model as anyone trains it: without our tags."""
    writer = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(["hello world", "good morning", "how are you"] * 5),
        model_writer=writer,
        vocab_size=30,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    return writer.getvalue()


def refusal(path: Path) -> str:
    with pytest.raises(TranslatorError) as caught:
        Tokenizer.load(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert str(path) in message
    return message


@pytest.mark.parametrize("content", [b"not a model", b"\x00" * 100, b""], ids=["text", "zeros", "empty"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(content)
    refusal(path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_model_is_refused(tokenizer: Tokenizer, tmp_path: Path, share: float) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(tokenizer.model[: int(len(tokenizer.model) * share)])
    refusal(path)


@pytest.mark.parametrize(
    "options", [{}, {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3}], ids=["default ids", "our ids"]
)
def test_a_foreign_sentencepiece_model_is_refused(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(foreign_model(**options))
    refusal(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "tokenizer.model")


def test_a_vocabulary_too_small_for_the_characters_says_so(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(TranslatorError, match=r"vocab_size = 300.*too small|vocab_size = 300.*smaller"):
        Tokenizer.train([ko for ko, _ in pairs], TokenizerConfig(vocab_size=300))


@pytest.mark.parametrize("sentences", [["안녕하세요", "hello"], [], [""]], ids=["too few", "none", "blank"])
def test_a_vocabulary_too_large_for_the_corpus_is_one_clear_line(sentences: list[str]) -> None:
    with pytest.raises(TranslatorError) as caught:
        Tokenizer.train(sentences, TokenizerConfig(vocab_size=5000))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "5000" in message
    assert "vocab_size" in message
