"""Configuration: what is written wrong is one line that names file, key and what is allowed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.config import (
    Config,
    ConfigError,
    CorpusConfig,
    ModelConfig,
    SearchConfig,
    SourceConfig,
    TokenizerConfig,
    TrainingConfig,
    from_dict,
    load_config,
    to_dict,
)

CONFIGS = sorted((Path(__file__).parent.parent.parent / "configs").glob("*.toml"))

GOOD = """
[corpus]
sources = [{path = "a.tsv"}]
[training]
max_steps = 10
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def failure(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    return message


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_recipe_of_the_repository_loads(path: Path) -> None:
    config = load_config(path)
    assert config.corpus.sources
    assert from_dict(Config, json.loads(json.dumps(to_dict(config)))) == config


def test_there_are_recipes() -> None:
    assert CONFIGS


def test_defaults_fill_what_a_recipe_leaves_out(recipe: Path) -> None:
    config = load_config(recipe)
    assert config.model == ModelConfig()
    assert config.tokenizer == TokenizerConfig()
    assert config.corpus.sources == (SourceConfig("a.tsv"),)


@pytest.mark.parametrize(
    ("override", "key", "allowed"),
    [
        # unknown keys
        ("model.hiden_size=64", "model.hiden_size", "hidden_size"),
        ("modle.hidden_size=64", "modle", "model"),
        ("corpus.sources=[{path='a.tsv', wieght=2}]", "wieght", "weight"),
        # wrong types
        ("model.hidden_size=64.0", "model.hidden_size", "whole number"),
        ("model.hidden_size=true", "model.hidden_size", "whole number"),
        ("model.hidden_size=wide", "model.hidden_size", "whole number"),
        ("model.dropout=false", "model.dropout", "a number"),
        ("model.bidirectional=1", "model.bidirectional", "true or false"),
        ("corpus.dev=3", "corpus.dev", "a string"),
        ("corpus.held_out=test.tsv", "corpus.held_out", "a list"),
        ("corpus.held_out=[1]", "corpus.held_out", "a string"),
        ("corpus.sources=['a.tsv']", "corpus.sources", "a table"),
        # impossible values
        ("model.cell=transformer", "model.cell", "lstm, gru, rnn"),
        ("model.hidden_size=0", "model.hidden_size", "at least 1"),
        ("model.hidden_size=65", "model.hidden_size", "even"),
        ("model.heads=7", "model.heads", "divisor"),
        ("model.dropout=1.0", "model.dropout", "[0, 1)"),
        ("model.dropout=nan", "model.dropout", "must be"),
        ("tokenizer.vocab_size=10", "tokenizer.vocab_size", "300"),
        ("tokenizer.character_coverage=0", "tokenizer.character_coverage", "1]"),
        ("tokenizer.character_coverage=0.9", "tokenizer.character_coverage", "0.98"),  # SentencePiece takes no less
        ("corpus.directions=['ko-ja']", "corpus.directions", "ko-en, en-ko"),
        ("corpus.directions=[]", "corpus.directions", "at least one"),
        ("corpus.sources=[]", "corpus.sources", "at least one"),
        ("corpus.sources=[{path='a.tsv', weight=-1}]", "weight", "(0, 100]"),
        ("corpus.max_length_ratio=1", "corpus.max_length_ratio", "above 1"),
        ("training.learning_rate=0", "training.learning_rate", "above 0"),
        ("training.label_smoothing=1.5", "training.label_smoothing", "[0, 1)"),
        ("training.optimizer=sgd", "training.optimizer", "adamw, muon"),
        ("training.max_steps=0", "training.max_steps", "training.budget_minutes"),
    ],
)
def test_a_wrong_value_names_file_key_and_what_is_allowed(recipe: Path, override: str, key: str, allowed: str) -> None:
    message = failure(recipe, override)
    assert str(recipe) in message
    assert key in message
    assert allowed in message


@pytest.mark.parametrize(
    "override",
    [
        "training.learning_rate=inf",
        "training.weight_decay=inf",
        "training.clip_norm=nan",
        "training.budget_minutes=inf",
    ],
)
def test_infinite_and_undefined_numbers_are_impossible_values(recipe: Path, override: str) -> None:
    assert override.partition("=")[0] in failure(recipe, override)


@pytest.mark.parametrize("key", ["max_length_factor", "length_penalty", "coverage_penalty"])
def test_an_infinite_search_setting_is_impossible(key: str) -> None:
    with pytest.raises(ConfigError, match=f"search.{key}"):
        from_dict(SearchConfig, {key: float("inf")}, "search")


def test_a_vocabulary_that_the_encoded_corpus_cannot_hold_is_impossible(recipe: Path) -> None:
    assert "tokenizer.vocab_size" in failure(recipe, "tokenizer.vocab_size=70000")  # ids are kept as 16 bits


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[training]\nmax_steps = 1\n", "corpus"),
        ("[corpus]\nsources = [{path = 'a'}]\n", "training"),
        ("[corpus]\nsources = [{weight = 1.0}]\n[training]\nmax_steps = 1\n", "path"),
        ("", "corpus"),
        ("corpus = 3\n[training]\nmax_steps = 1\n", "corpus"),
    ],
)
def test_a_missing_key_or_table_is_named(recipe: Path, text: str, key: str) -> None:
    recipe.write_text(text, encoding="utf-8")
    message = failure(recipe)
    assert str(recipe) in message
    assert key in message


@pytest.mark.parametrize("content", [b"[corpus\n", b"a = \n", b"\xff\xfe\x00", b"[model]\nx = 1\nx = 2\n"])
def test_bad_toml_is_one_line_naming_the_file(recipe: Path, content: bytes) -> None:
    recipe.write_bytes(content)
    message = failure(recipe)
    assert str(recipe) in message
    assert "TOML" in message


def test_a_missing_file_or_a_folder_is_one_line_naming_it(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        message = failure(path)
        assert str(path) in message
        assert "cannot be read" in message


def test_overrides_win_over_the_file_and_the_last_over_the_first(recipe: Path) -> None:
    config = load_config(
        recipe, ["training.max_steps=20", "training.max_steps = 30", "model.cell=gru", 'model.attention="dot"']
    )
    assert config.training.max_steps == 30
    assert (config.model.cell, config.model.attention) == ("gru", "dot")


def test_overrides_take_lists_and_tables_and_bare_words(recipe: Path) -> None:
    sources = 'corpus.sources=[{path = "b.tsv", weight = 0.5}, {path = "c=d.csv"}]'
    config = load_config(
        recipe, [sources, "corpus.directions=['en-ko']", "corpus.dev=data/dev set.tsv", "model.dropout=0"]
    )
    assert config.corpus.sources == (SourceConfig("b.tsv", 0.5), SourceConfig("c=d.csv"))
    assert config.corpus.directions == ("en-ko",)
    assert config.corpus.dev == "data/dev set.tsv"
    assert config.model.dropout == 0.0
    assert isinstance(config.model.dropout, float)


@pytest.mark.parametrize("override", ["model.dropout", "dropout=0.1", "=3", "", "model.=3"])
def test_an_override_without_section_key_or_value_says_how_it_is_written(recipe: Path, override: str) -> None:
    message = failure(recipe, override)
    assert "--set" in message
    assert "section.key=value" in message


def test_an_override_cannot_reach_into_a_value(recipe: Path) -> None:
    assert "not a table" in failure(recipe, "corpus.sources.path=b.tsv")


fractions = st.floats(0, 0.99)
models = st.builds(
    ModelConfig,
    cell=st.sampled_from(["lstm", "gru", "rnn"]),
    bidirectional=st.booleans(),
    attention=st.sampled_from(["none", "dot", "multihead", "additive"]),
    heads=st.sampled_from([1, 2, 4]),
    embedding_size=st.integers(1, 999),
    hidden_size=st.integers(1, 99).map(lambda n: 4 * n),
    encoder_layers=st.integers(1, 9),
    dropout=fractions,
    tie_embeddings=st.booleans(),
)
searches = st.builds(
    SearchConfig,
    beam_size=st.integers(5, 100),
    n_best=st.integers(1, 5),
    length_penalty=st.floats(0, 5),
    min_length=st.integers(0, 99),
    no_repeat_ngram=st.integers(0, 9),
)
corpora = st.builds(
    CorpusConfig,
    sources=st.lists(st.builds(SourceConfig, path=st.text(min_size=1), weight=st.floats(0.01, 100)), min_size=1).map(
        tuple
    ),
    held_out=st.lists(st.text()).map(tuple),
    directions=st.sampled_from([("ko-en",), ("en-ko",), ("ko-en", "en-ko")]),
    speech_levels=st.booleans(),
)
trainings = st.builds(
    TrainingConfig,
    max_steps=st.integers(1, 10**9),
    label_smoothing=fractions,
    seed=st.integers(0, 2**31),
    warmup=fractions,
)
configs = st.builds(Config, corpus=corpora, training=trainings, model=models)


@settings(max_examples=40)
@given(st.one_of(models, searches, configs))
def test_a_config_survives_plain_dicts_and_json(config: ModelConfig | SearchConfig | Config) -> None:
    assert from_dict(type(config), to_dict(config)) == config
    assert from_dict(type(config), json.loads(json.dumps(to_dict(config)))) == config


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers())), max_size=3))
def test_any_table_is_a_config_or_a_config_error(values: dict[str, object]) -> None:
    try:
        from_dict(SearchConfig, values)
    except ConfigError:
        assert values
