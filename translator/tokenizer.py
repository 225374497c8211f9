"""SentencePiece tokenizer: one vocabulary for Korean and English, with the tags that steer the model."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import sentencepiece as spm

from translator.config import TokenizerConfig
from translator.errors import TranslatorError
from translator.text import SPEECH_LEVELS, Language, SpeechLevel, compose_jamo

PAD, UNK, BOS, EOS = 0, 1, 2, 3
PLACEHOLDERS = tuple(f"<ph{i}>" for i in range(10))  # stand for protected spans
TAGS = ("<2ko>", "<2en>", *(f"<{level}>" for level in SPEECH_LEVELS))  # control pieces: text never encodes to them


class Tokenizer:
    """Text to piece ids and back.

    Normalisation (NFKC and white space) is SentencePiece's own rule, stored in the model; byte fallback leaves no
    character unknown.
    """

    def __init__(self, model: bytes) -> None:
        """Raise TranslatorError if `model` is no SentencePiece model of this package."""
        try:
            self._processor = spm.SentencePieceProcessor(model_proto=model)
        except RuntimeError:
            raise TranslatorError("not a SentencePiece model") from None
        if not model:
            raise TranslatorError("not a SentencePiece model")
        self.model = model
        self.vocab_size: int = self._processor.get_piece_size()
        self._tags = {tag: int(self._processor.piece_to_id(tag)) for tag in TAGS}
        missing = [tag for tag, piece in self._tags.items() if piece == self._processor.unk_id()]
        if missing:
            raise TranslatorError(
                f"the tokenizer has no piece {missing[0]}: train it with `translator tokenizer train`"
            )
        # What search must never produce: everything that stands for no text, the end of sentence excepted.
        self.unwritable: tuple[int, ...] = (PAD, UNK, BOS, *self._tags.values())

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Read a `tokenizer.model`; raise TranslatorError naming the file."""
        try:
            return cls(Path(path).read_bytes())
        except OSError as error:
            raise TranslatorError(f"{path}: cannot be read ({error.strerror})") from None
        except TranslatorError as error:
            raise TranslatorError(f"{path}: {error}") from None

    @classmethod
    def train(cls, sentences: Iterable[str], config: TokenizerConfig, threads: int = 2) -> Tokenizer:
        """Learn a vocabulary (unigram: Kudo 2018; bpe: Sennrich et al. 2016) from sentences of both languages."""
        writer = io.BytesIO()
        try:
            spm.SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=writer,
                vocab_size=config.vocab_size,
                model_type=config.model_type,
                character_coverage=config.character_coverage,
                byte_fallback=True,
                split_digits=True,  # numbers are copied digit by digit
                normalization_rule_name="nmt_nfkc",
                pad_id=PAD,
                unk_id=UNK,
                bos_id=BOS,
                eos_id=EOS,
                control_symbols=list(TAGS),
                user_defined_symbols=list(PLACEHOLDERS),
                num_threads=threads,
                minloglevel=2,
            )
        except RuntimeError as error:
            reason = str(error).rsplit("] ", 1)[-1].strip() or "no sentences"
            raise TranslatorError(
                f"tokenizer.vocab_size = {config.vocab_size} does not fit the corpus: {reason}"
            ) from None
        return cls(writer.getvalue())

    def save(self, path: str | Path) -> None:
        """Write the SentencePiece model file."""
        Path(path).write_bytes(self.model)

    def encode(self, text: str) -> list[int]:
        """Return the ids of the best segmentation, without tags or end of sentence."""
        return cast(list[int], self._processor.encode(text))

    def encode_batch(self, texts: Sequence[str], sampling_alpha: float = 0.0, seed: int = 0) -> list[list[int]]:
        """Encode many texts; with `sampling_alpha` > 0 draw segmentations (Kudo 2018), the same for the same seed."""
        if not sampling_alpha:
            return cast(list[list[int]], self._processor.encode(list(texts)))
        spm.set_random_generator_seed(seed)
        # One text at a time: a list would be shared among threads, each with a generator of its own.
        return [
            cast(list[int], self._processor.encode(text, enable_sampling=True, alpha=sampling_alpha, nbest_size=-1))
            for text in texts
        ]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the pieces as text; `▁` marks a word's beginning."""
        return [str(self._processor.id_to_piece(int(i))) for i in ids]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of `ids`; tags and the end of sentence vanish."""
        return compose_jamo(str(self._processor.decode([int(i) for i in ids])))

    def source_prefix(self, target: Language, level: SpeechLevel | None = None) -> list[int]:
        """Return the tags that open a source sentence: the language to translate into, then the speech level if any."""
        tags = [self._tags[f"<2{target}>"]]
        return [*tags, self._tags[f"<{level}>"]] if level and target == "ko" else tags
