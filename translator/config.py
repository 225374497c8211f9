"""Typed configuration: frozen dataclasses, read from one TOML file with the standard library."""

from __future__ import annotations

import math
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from translator.errors import TranslatorError
from translator.text import Language

Direction = Literal["ko-en", "en-ko"]
LANGUAGES_OF: dict[Direction, tuple[Language, Language]] = {"ko-en": ("ko", "en"), "en-ko": ("en", "ko")}

T = TypeVar("T")


class ConfigError(TranslatorError):
    """A key or value that the configuration does not allow."""


def _check(condition: bool, key: str, allowed: str, value: object) -> None:
    if not condition:
        raise ConfigError(f"{key} must be {allowed}, not {value!r}")


@dataclass(frozen=True)
class ModelConfig:
    """The architecture; every cell of the lesson (RNN → GRU → LSTM → Bi-LSTM) is a value here."""

    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    bidirectional: bool = True
    attention: Literal["none", "dot", "multihead", "additive"] = "multihead"
    heads: int = 4  # of multihead attention
    embedding_size: int = 384
    hidden_size: int = 384  # of a whole layer: each direction of a bidirectional one has half
    encoder_layers: int = 2
    decoder_layers: int = 2
    dropout: float = 0.3
    tie_embeddings: bool = True  # one matrix for encoder, decoder and output, instead of three

    def __post_init__(self) -> None:
        for key in ("embedding_size", "hidden_size", "encoder_layers", "decoder_layers", "heads"):
            _check(getattr(self, key) >= 1, f"model.{key}", "at least 1", getattr(self, key))
        _check(0 <= self.dropout < 1, "model.dropout", "in [0, 1)", self.dropout)
        if self.bidirectional:
            _check(self.hidden_size % 2 == 0, "model.hidden_size", "even for a bidirectional encoder", self.hidden_size)
        if self.attention == "multihead":
            _check(self.hidden_size % self.heads == 0, "model.heads", "a divisor of hidden_size", self.heads)


@dataclass(frozen=True)
class TokenizerConfig:
    """How the joint SentencePiece vocabulary is learned, or which one is taken."""

    path: str = ""  # an existing tokenizer.model; empty: train one on the corpus
    vocab_size: int = 8000
    model_type: Literal["unigram", "bpe"] = "unigram"
    character_coverage: float = 0.9998
    sampling_alpha: float = 0.0  # subword sampling in training (Kudo 2018); 0 switches it off

    def __post_init__(self) -> None:
        _check(
            300 <= self.vocab_size <= 65535,
            "tokenizer.vocab_size",
            "from 300 (256 are bytes) to 65535",
            self.vocab_size,
        )
        _check(
            0.98 <= self.character_coverage <= 1,
            "tokenizer.character_coverage",
            "in [0.98, 1]",
            self.character_coverage,
        )
        _check(0 <= self.sampling_alpha <= 1, "tokenizer.sampling_alpha", "in [0, 1]", self.sampling_alpha)


@dataclass(frozen=True)
class SourceConfig:
    """One parallel source: a file, a pair of aligned files, or a data set of the Hugging Face hub."""

    path: str
    weight: float = 1.0  # copies of each pair in an epoch; a fraction draws that share anew each epoch
    format: Literal["auto", "tsv", "csv", "jsonl", "parquet", "aligned", "hub"] = "auto"
    ko: str = "ko"  # column of the Korean side; of a TSV without header "0", "1", …
    en: str = "en"
    split: str = "train"  # of a hub data set

    def __post_init__(self) -> None:
        _check(bool(self.path), "corpus.sources.path", "a file or data set name", self.path)
        _check(0 < self.weight <= 100, "corpus.sources.weight", "in (0, 100]", self.weight)


@dataclass(frozen=True)
class CorpusConfig:
    """What is trained on, what is kept away from training, and which pairs are dropped."""

    sources: tuple[SourceConfig, ...] = ()
    dev: str = ""  # chosen on
    held_out: tuple[str, ...] = ()  # further sets (tests) whose sentences must not be trained on
    directions: tuple[Direction, ...] = ("ko-en", "en-ko")
    speech_levels: bool = True  # tag English→Korean sources with the speech level of the Korean side
    max_characters: int = 400
    max_tokens: int = 100
    max_length_ratio: float = 4.0  # of UTF-8 bytes, for pairs of more than a few words

    def __post_init__(self) -> None:
        _check(bool(self.sources), "corpus.sources", "at least one [[corpus.sources]] table", self.sources)
        _check(bool(self.directions), "corpus.directions", "at least one direction", self.directions)
        _check(self.max_characters >= 1, "corpus.max_characters", "at least 1", self.max_characters)
        _check(self.max_tokens >= 2, "corpus.max_tokens", "at least 2", self.max_tokens)
        _check(self.max_length_ratio > 1, "corpus.max_length_ratio", "above 1", self.max_length_ratio)


@dataclass(frozen=True)
class TrainingConfig:
    """How the model learns: batches, optimiser, schedule, regularisation, validation."""

    start_from: str = ""  # a checkpoint folder whose weights to begin with; its tokenizer must be tokenizer.path
    batch_tokens: int = 700  # padded target or source positions of a batch, whichever is larger
    accumulate: int = 1  # batches to a step
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 0.002
    weight_decay: float = 0.01
    warmup: float = 0.03  # share of the schedule
    max_steps: int = 0  # length of the schedule in steps …
    budget_minutes: float = 0.0  # … or in minutes of training, over all its sessions; the first reached ends it
    label_smoothing: float = 0.1
    source_word_dropout: float = 0.1
    target_word_dropout: float = 0.1
    clip_norm: float = 1.0
    ema_decay: float = 0.999  # of the averaged weights that are validated and shipped
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 where the processor has it
    validate_steps: int = 0  # 0: validate_minutes decides
    validate_minutes: float = 5.0
    validate_sentences: int = 200  # of the dev set, in each direction
    patience: int = 0  # validations without a better chrF before it stops; 0: never
    seed: int = 1

    def __post_init__(self) -> None:
        _check(self.batch_tokens >= 8, "training.batch_tokens", "at least 8", self.batch_tokens)
        _check(self.accumulate >= 1, "training.accumulate", "at least 1", self.accumulate)
        _check(self.learning_rate > 0, "training.learning_rate", "above 0", self.learning_rate)
        _check(0 <= self.warmup < 1, "training.warmup", "in [0, 1)", self.warmup)
        for key in ("label_smoothing", "source_word_dropout", "target_word_dropout", "ema_decay"):
            _check(0 <= getattr(self, key) < 1, f"training.{key}", "in [0, 1)", getattr(self, key))
        for key in ("max_steps", "budget_minutes", "validate_steps", "patience", "weight_decay", "seed"):
            _check(getattr(self, key) >= 0, f"training.{key}", "at least 0", getattr(self, key))
        _check(self.clip_norm > 0, "training.clip_norm", "above 0", self.clip_norm)
        _check(self.validate_minutes > 0, "training.validate_minutes", "above 0", self.validate_minutes)
        _check(self.validate_sentences >= 1, "training.validate_sentences", "at least 1", self.validate_sentences)
        if not (self.max_steps or self.budget_minutes):
            raise ConfigError("training needs a length: set training.max_steps or training.budget_minutes")


@dataclass(frozen=True)
class SearchConfig:
    """How a translation is searched for; a beam of 1 is greedy search."""

    beam_size: int = 5
    n_best: int = 1
    length_penalty: float = 1.0  # α of Wu et al. 2016, eq. 14; 0: plain sum of log-probabilities
    coverage_penalty: float = 0.0  # β of the same equation
    min_length: int = 1
    max_length_factor: float = 2.0  # longest output = factor · source length + max_length_extra
    max_length_extra: int = 20
    no_repeat_ngram: int = 4  # an n-gram of this size occurs at most once in an output; 0: no rule

    def __post_init__(self) -> None:
        _check(1 <= self.beam_size <= 100, "search.beam_size", "between 1 and 100", self.beam_size)
        _check(1 <= self.n_best <= self.beam_size, "search.n_best", "between 1 and beam_size", self.n_best)
        for key in ("length_penalty", "coverage_penalty", "min_length", "max_length_factor", "no_repeat_ngram"):
            _check(getattr(self, key) >= 0, f"search.{key}", "at least 0", getattr(self, key))
        _check(self.max_length_extra >= 1, "search.max_length_extra", "at least 1", self.max_length_extra)


@dataclass(frozen=True)
class Config:
    """One recipe: everything that `translator train` needs."""

    corpus: CorpusConfig
    training: TrainingConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)


def to_dict(config: Any) -> dict[str, Any]:
    """Return a config dataclass as plain dicts and lists, as TOML and JSON know them."""
    return asdict(config)


def from_dict(cls: type[T], values: object, key: str = "") -> T:
    """Build the dataclass `cls` from parsed TOML or JSON.

    Raises ConfigError for an unknown key, a missing key, a wrong type or a value that is not allowed.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{key or 'the file'} must be a table, not {values!r}")
    hints = typing.get_type_hints(cls)
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    prefix = f"{key}." if key else ""
    for name in values:
        if name not in known:
            raise ConfigError(f"unknown key {prefix}{name}; allowed: {', '.join(known)}")
    converted = {name: _convert(hints[name], value, prefix + name) for name, value in values.items()}
    try:
        return cls(**converted)
    except TypeError as error:  # a key without a default is missing
        raise ConfigError(f"{key or 'the file'}: {str(error).partition(') ')[2] or error}") from None


def _convert(hint: Any, value: object, key: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, key)
    if origin is Literal:
        _check(value in args, key, "one of " + ", ".join(map(str, args)), value)
        return value
    if origin is tuple:
        _check(isinstance(value, list | tuple), key, "a list", value)
        return tuple(_convert(args[0], item, key) for item in typing.cast(Sequence[object], value))
    if origin is dict:
        _check(isinstance(value, dict), key, "a table", value)
        return value
    if origin is types.UnionType:  # X | None
        return None if value is None else _convert(args[0], value, key)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    _check(not isinstance(value, float) or math.isfinite(value), key, "a finite number", value)
    _check(
        type(value) is hint,
        key,
        {int: "a whole number", float: "a number", bool: "true or false"}.get(hint, "a string"),
        value,
    )
    return value


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe; `overrides` are `section.key=value` strings whose values are TOML (bare words are strings).

    Raises ConfigError naming the file and key.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    for override in overrides:
        _override(values, override)
    try:
        return from_dict(Config, values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _override(values: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    *sections, name = dotted.strip().split(".")
    if not equals or not sections or not name:
        raise ConfigError(f"--set {override}: write section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    table = values
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override}: {section} is not a table")
    table[name] = value
