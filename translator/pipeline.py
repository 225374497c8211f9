"""Text in, text out: detect the language, split, encode, search, decode, put back together."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack, overload

from translator.checkpoint import Checkpoint, find_checkpoint, load_checkpoint, read_info, shipped_models
from translator.config import LANGUAGES_OF, Direction, SearchConfig
from translator.errors import TranslatorError
from translator.search import Hypothesis, search
from translator.text import (
    DEFAULT_LEVEL,
    LANGUAGES,
    SPEECH_LEVELS,
    Language,
    Sentence,
    SpeechLevel,
    clean,
    detect_language,
    join_sentences,
    split_sentences,
)
from translator.tokenizer import EOS

Choice = TypeVar("Choice", bound=str)

MAX_PIECES = 100  # a longer sentence is translated in parts: models have not seen longer ones


@dataclass(frozen=True)
class Alignment:
    """Attention of one sentence: how much each output piece looked at each source piece."""

    source_tokens: tuple[str, ...]  # tags and end of sentence included
    target_tokens: tuple[str, ...]  # end of sentence included
    weights: tuple[tuple[float, ...], ...]  # [target][source]; each row sums to 1


@dataclass(frozen=True)
class Alternative:
    """Another translation of the whole text."""

    text: str
    score: float


@dataclass(frozen=True)
class Translation:
    """One translated text."""

    text: str
    source: Language | None  # None: no letters of either language, passed through unchanged
    target: Language | None
    source_text: str
    score: float | None  # mean log-probability (natural) of a piece; None if nothing had to be translated
    tokens: tuple[str, ...]  # pieces of the output; `▁` marks a word's beginning
    alternatives: tuple[Alternative, ...] = ()
    alignment: tuple[Alignment, ...] = ()  # one a sentence, if asked for


@dataclass(frozen=True)
class _Unit:
    """What is searched for once, however often it occurs."""

    direction: Direction
    text: str


@dataclass(frozen=True)
class _Plan:
    """How one text comes back together: its sentences, each a list of parts (unit or verbatim text) and glue."""

    direction: Direction | None
    source: Language | None
    target: Language | None
    sentences: list[Sentence]
    parts: list[list[tuple[_Unit | str, str]]]


class Options(TypedDict, total=False):
    """The keywords of Translator.translate, which explains them."""

    source: str | None
    target: str | None
    style: str | None
    beam_size: int
    alternatives: int
    batch_size: int
    align: bool
    config: SearchConfig | None


class Translator:
    """Translates texts with one checkpoint, or with the shipped ones by direction.

    The same sentence gives the same translation alone, in a batch, from a file or after a restart.
    """

    def __init__(self, folders: dict[Direction, Path], device: str = "cpu") -> None:
        """`folders` says which checkpoint serves a direction; each is loaded when first needed."""
        self._folders = folders
        self._device = device
        self._loaded: dict[Path, Checkpoint] = {}

    @classmethod
    def load(cls, name_or_folder: str | Path | None = None, device: str = "cpu") -> Translator:
        """Open a shipped model by name, a checkpoint folder, or (None) for each direction the shipped
        model with the best chrF2 on the dev set.

        Raises CheckpointError with one line that says what is wrong with the folder.
        """
        if name_or_folder is not None:
            folder = find_checkpoint(str(name_or_folder))
            translator = cls(dict.fromkeys(read_info(folder).directions, folder), device)
            translator._checkpoint(translator.directions[0])
            return translator
        folders: dict[Direction, Path] = {}
        best: dict[Direction, float] = {}
        for folder in shipped_models().values():
            info = read_info(folder)
            for direction in info.directions:
                chrf = info.dev_chrf(direction)
                if direction not in folders or chrf > best[direction]:
                    folders[direction], best[direction] = folder, chrf
        if not folders:
            raise TranslatorError("no model is shipped with this installation; give one with --model FOLDER")
        return cls(folders, device)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The directions that can be translated."""
        return tuple(self._folders)

    @overload
    def translate(self, texts: str, **options: Unpack[Options]) -> Translation: ...
    @overload
    def translate(self, texts: list[str] | tuple[str, ...], **options: Unpack[Options]) -> list[Translation]: ...
    def translate(
        self,
        texts: str | list[str] | tuple[str, ...],
        *,
        source: str | None = None,
        target: str | None = None,
        style: str | None = None,
        beam_size: int = 5,
        alternatives: int = 0,
        batch_size: int = 32,
        align: bool = False,
        config: SearchConfig | None = None,
    ) -> Translation | list[Translation]:
        """Translate one text (→ Translation) or several (→ list, same order and length).

        `source` and `target` are "ko" or "en"; None detects the source and takes the other language as target. A text
        or sentence without letters, or already in the target language, passes through unchanged. `style` is the speech
        level of Korean output (default "polite"). `alternatives` more translations are given for each text; `config`
        sets everything else of the search. Raises TranslatorError for an unknown language or style, or a direction
        that the model does not serve.
        """
        level = _choice("style", style, SPEECH_LEVELS) or DEFAULT_LEVEL
        source_language = _choice("source language", source, LANGUAGES)
        target_language = _choice("target language", target, LANGUAGES)
        if batch_size < 1 or alternatives < 0:
            raise TranslatorError("batch_size must be at least 1 and alternatives at least 0")
        n_best = 1 + alternatives
        search_config = replace(config or SearchConfig(), beam_size=max(beam_size, n_best), n_best=n_best)
        batch = [texts] if isinstance(texts, str) else list(texts)
        plans = [self._plan(text, source_language, target_language) for text in batch]
        units = dict.fromkeys(p for plan in plans for parts in plan.parts for p, _ in parts if isinstance(p, _Unit))
        found = self._search(list(units), level, search_config, batch_size, align)
        results = [self._assemble(text, plan, found, alternatives) for text, plan in zip(batch, plans, strict=True)]
        return results[0] if isinstance(texts, str) else results

    # text → units

    def _plan(self, text: str, source: Language | None, target: Language | None) -> _Plan:
        cleaned = clean(text)
        detected = detect_language(cleaned)
        if detected is None or not cleaned.strip():
            return _Plan(None, None, target, [Sentence(cleaned)], [[(cleaned, "")]])
        source = source or detected
        target = target or _other(source)
        if source == target:
            return _Plan(None, detected, target, [Sentence(cleaned)], [[(cleaned, "")]])
        direction: Direction = "ko-en" if source == "ko" else "en-ko"
        if direction not in self._folders:
            raise TranslatorError(f"this model does not translate {direction}; it knows {', '.join(self.directions)}")
        sentences = split_sentences(cleaned, source)
        return _Plan(direction, source, target, sentences, [self._parts(direction, s.text, target) for s in sentences])

    def _parts(self, direction: Direction, sentence: str, target: Language) -> list[tuple[_Unit | str, str]]:
        """Return the parts of a sentence, each with the white space that follows it."""
        if detect_language(sentence) in (None, target):
            return [(sentence, "")]
        tokenizer = self._checkpoint(direction).tokenizer

        def halve(text: str) -> list[tuple[str, str]]:
            if len(tokenizer.encode(text)) <= MAX_PIECES:
                return [(text, "")]
            start, end = _middle_gap(text)
            left, right = halve(text[:start]), halve(text[end:])
            return [*left[:-1], (left[-1][0], text[start:end]), *right]

        return [(_Unit(direction, part), glue) for part, glue in halve(sentence)]

    # units → hypotheses

    def _search(
        self, units: list[_Unit], level: SpeechLevel, config: SearchConfig, batch_size: int, align: bool
    ) -> dict[_Unit, tuple[Checkpoint, list[int], list[Hypothesis]]]:
        found: dict[_Unit, tuple[Checkpoint, list[int], list[Hypothesis]]] = {}
        for direction in self.directions:
            mine = [unit for unit in units if unit.direction == direction]
            if not mine:
                continue
            point = self._checkpoint(direction)
            _, target = LANGUAGES_OF[direction]
            prefix = point.tokenizer.source_prefix(target, level if point.info.speech_levels else None)
            ids = [[*prefix, *point.tokenizer.encode(unit.text), EOS] for unit in mine]
            by_length = sorted(range(len(mine)), key=lambda i: len(ids[i]))  # equal lengths waste no padding
            for start in range(0, len(mine), batch_size):
                rows = by_length[start : start + batch_size]
                unwritable = point.tokenizer.unwritable
                hypotheses = search(point.model, [ids[i] for i in rows], config, unwritable, keep_attention=align)
                found.update((mine[i], (point, ids[i], h)) for i, h in zip(rows, hypotheses, strict=True))
        return found

    def _checkpoint(self, direction: Direction) -> Checkpoint:
        folder = self._folders[direction]
        if folder not in self._loaded:
            self._loaded[folder] = load_checkpoint(folder, self._device)
        return self._loaded[folder]

    # hypotheses → text

    def _assemble(
        self,
        text: str,
        plan: _Plan,
        found: dict[_Unit, tuple[Checkpoint, list[int], list[Hypothesis]]],
        alternatives: int,
    ) -> Translation:
        ranked: list[Alternative] = []
        for rank in range(1 + alternatives):
            translated, logs, pieces = [], 0.0, 0
            for sentence, parts in zip(plan.sentences, plan.parts, strict=True):
                output = ""
                for part, glue in parts:
                    if isinstance(part, _Unit):
                        point, _, hypotheses = found[part]
                        if hypotheses:  # a sentence with fewer alternatives repeats its last one
                            best = hypotheses[min(rank, len(hypotheses) - 1)]
                            # A byte piece can be a line break or a control character: never in one sentence's output.
                            output += " ".join(clean(point.tokenizer.decode(best.ids)).split())
                            logs, pieces = logs + best.log_probability, pieces + len(best.ids) + 1
                    else:
                        output += part
                    output += glue
                translated.append(sentence._replace(text=output))
            candidate = Alternative(join_sentences(translated), logs / max(pieces, 1))
            if all(candidate.text != earlier.text for earlier in ranked):
                ranked.append(candidate)
        searched = [found[part] for parts in plan.parts for part, _ in parts if isinstance(part, _Unit)]
        tokens = [piece for point, _, h in searched if h for piece in point.tokenizer.pieces(h[0].ids)]
        return Translation(
            text=ranked[0].text,
            source=plan.source,
            target=plan.target,
            source_text=text,
            score=ranked[0].score if searched else None,
            tokens=tuple(tokens),
            alternatives=tuple(ranked[1:]),
            alignment=tuple(a for point, ids, h in searched if h and (a := _alignment(point, ids, h[0]))),
        )


def _alignment(point: Checkpoint, ids: list[int], hypothesis: Hypothesis) -> Alignment | None:
    if hypothesis.attention is None:
        return None
    pieces = point.tokenizer.pieces
    return Alignment(
        tuple(pieces(ids)),
        tuple(pieces([*hypothesis.ids, EOS][: len(hypothesis.attention)])),
        tuple(tuple(round(float(w), 4) for w in row) for row in hypothesis.attention),
    )


def _middle_gap(text: str) -> tuple[int, int]:
    """Return where to cut a text that is too long: after punctuation, else at white space, nearest to the middle."""
    middle = len(text) / 2
    for pattern in (r"(?<=[,;:，、；：])\s+", r"\s+"):
        gaps = [m.span() for m in re.finditer(pattern, text) if len(text) * 0.2 < m.start() < len(text) * 0.8]
        if gaps:
            return min(gaps, key=lambda gap: abs(gap[0] - middle))
    return int(middle), int(middle)


def _other(language: Language) -> Language:
    return "en" if language == "ko" else "ko"


def _choice(what: str, value: str | None, allowed: tuple[Choice, ...]) -> Choice | None:
    if value is None:
        return None
    for candidate in allowed:
        if candidate == value:
            return candidate
    raise TranslatorError(f"unknown {what} {value!r}; choose one of: {', '.join(allowed)}")


@cache
def _shared(model: str | None) -> Translator:
    return Translator.load(model)


@overload
def translate(text: str, *, model: str | None = ..., **options: Unpack[Options]) -> str: ...
@overload
def translate(
    text: list[str] | tuple[str, ...], *, model: str | None = ..., **options: Unpack[Options]
) -> list[str]: ...
def translate(
    text: str | list[str] | tuple[str, ...], *, model: str | None = None, **options: Unpack[Options]
) -> str | list[str]:
    """Translate a text (str → str) or several (list → list) with a model that is loaded at the first call.

    `model` is a shipped model's name or a checkpoint folder; the options (source, target, style, beam_size, …) and the
    errors are those of Translator.translate.
    """
    if isinstance(text, str):
        return _shared(model).translate(text, **options).text
    return [result.text for result in _shared(model).translate(text, **options)]
