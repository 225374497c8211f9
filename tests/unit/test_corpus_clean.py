"""Each cleaning rule keeps one pair and drops another; `translator corpus` prints and writes the result."""

import json
import string
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.cli.corpus import corpus
from translator.config import CorpusConfig, SourceConfig
from translator.corpus.clean import RULES, clean_pairs, normalise, prepare
from translator.corpus.encode import Pair
from translator.errors import TranslatorError

CONFIG = CorpusConfig(sources=(SourceConfig("unused.tsv"),), max_characters=60, max_length_ratio=4.0)
HELD_OUT = [("그녀는 매일 학교에 걸어가요.", "She walks to school every day."), ("알겠어요.", "Okay.")]
GOOD = ("오늘 날씨가 좋네요.", "The weather is nice today.")


def dropped(*pairs: tuple[str, str]) -> list[str]:
    """Return the rules that dropped something, once for each pair."""
    return list(clean_pairs([Pair(*pair) for pair in pairs], CONFIG, HELD_OUT)[1].elements())


@pytest.mark.parametrize(
    ("rule", "keeps", "drops"),
    [
        ("empty", ("네", "Y"), ("네", "")),
        ("empty", ("네", "Y"), (" \u3000\ufeff", "Yes")),
        ("too long", ("가" * 60, "a" * 60), ("가" * 20, "a" * 61)),
        ("length ratio", ("아니요, 괜찮아요", "No"), ("그것은 사실 아주 긴 이야기의 시작일 뿐이었어요.", "It was so.")),
        ("wrong script", ("Python 3.12 설치하기", "Installing Python 3.12"), ("Install it.", "Install it now.")),
        ("wrong script", ("ㅋㅋㅋ", "lol"), ("그 사람 알아요?", "그 사람을 아세요?")),
        ("wrong script", ("'가'는 무슨 뜻이에요?", "What does '가' mean in English?"), ("한국어", "한국말")),
        ("wrong script", ("`git commit --amend` 로 고치세요", "Fix it: `git commit --amend`"), ("1, 2, 3", "1 2 3")),
        (
            "identical",
            ("npm install 실행", "Run npm install"),
            ("The key 가 is on the left.", "the key 가 is on the left"),
        ),
        ("held out", ("나는 매일 학교에 걸어가요.", "I walk to school every day."), HELD_OUT[0]),
        (
            "held out",
            ("나는 학교에 걸어가요.", "She walks to school."),
            ("매일 걷네요.", "she walks to school every day!"),
        ),
        ("held out", ("매일 걷네요.", "Each day she walks."), ("그녀는 매일 학교에 걸어 가요", "Each day she walks.")),
        ("held out", ("좋아요.", "Okay."), ("알겠어요.", "Okay.")),
        ("held out", ("응.", "Okay."), ("알겠어요!", "I see.")),
    ],
)
def test_each_rule(rule: str, keeps: tuple[str, str], drops: tuple[str, str]) -> None:
    assert dropped(keeps) == []
    assert dropped(drops) == [rule]


def test_a_duplicate_is_the_same_pair_not_the_same_side() -> None:
    assert dropped(GOOD, ("오늘은 날씨가 좋네요.", GOOD[1]), (GOOD[0], "It's nice out today.")) == []
    assert dropped(GOOD, ("오늘  날씨가 좋네요", "the weather is nice today")) == ["duplicate"]


def test_the_first_rule_that_a_pair_breaks_counts() -> None:
    assert list(clean_pairs([], CONFIG)[1]) == list(RULES)
    assert dropped(("", "a" * 100)) == ["empty"]
    assert dropped(("가", "a" * 100)) == ["too long"]


def test_what_is_kept_is_tidy_in_order_and_weighted() -> None:
    pairs = [
        Pair("  둘\u200b째\t줄\n입니다 ", "Second\u2028 line", 2.0),
        Pair("첫째", "First", 0.5),
        Pair("가\u0301", "x"),
    ]
    kept, counts = clean_pairs(pairs, CONFIG)
    assert kept[:2] == [Pair("둘째 줄 입니다", "Second line", 2.0), Pair("첫째", "First", 0.5)]
    assert len(kept) == 3
    assert counts.total() == 0


def test_normalise() -> None:
    assert normalise("Hello,  World！") == normalise("hello world") == normalise("ＨＥＬＬＯ_WORLD") == "helloworld"
    assert normalise("?!") == "?!"
    assert normalise("1+1") == "11"


sentence = st.text(st.sampled_from("가나다라 ,.!?\n\t\u200bㅋ漢é" + string.ascii_letters), max_size=30)


@given(st.lists(st.builds(Pair, sentence, sentence, st.just(1.0))), st.lists(st.tuples(sentence, sentence), max_size=3))
@settings(max_examples=150, deadline=None)
def test_every_pair_is_kept_or_counted_and_cleaning_twice_changes_nothing(
    pairs: list[Pair], held_out: list[tuple[str, str]]
) -> None:
    kept, counts = clean_pairs(pairs, CONFIG, held_out)
    assert len(kept) + counts.total() == len(pairs)
    assert clean_pairs(kept, CONFIG, held_out) == (kept, dict.fromkeys(RULES, 0))
    assert not {normalise(pair.ko) for pair in kept} & {normalise(ko) for ko, _ in held_out if ko.isalpha()}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "train.tsv").write_text(
        "오늘 날씨가 좋네요.\tThe weather is nice today.\tdaily\n"
        "오늘 날씨가 좋네요\tthe weather is nice today\tdaily\n"
        "시험 문장입니다.\tThis is a test sentence.\tdaily\n"
        "개발 문장이에요.\tThis is a dev sentence.\tdaily\n"
        "어디 가?\tWhere are you going?\tdaily\n",
        encoding="utf-8",
    )
    (tmp_path / "dev.tsv").write_text("개발 문장이에요.\tDevelopment.\n", encoding="utf-8")
    (tmp_path / "test.jsonl").write_text('{"ko": "시험", "en": "This is a test sentence!"}\n', encoding="utf-8")
    path = tmp_path / "recipe.toml"
    path.write_text(
        f"[corpus]\ndev = '{tmp_path}/dev.tsv'\nheld_out = ['{tmp_path}/test.jsonl']\n"
        f"[[corpus.sources]]\npath = '{tmp_path}/train.tsv'\nweight = 0.5\n[training]\nmax_steps = 1\n",
        encoding="utf-8",
    )
    return path


def test_prepare_keeps_dev_and_test_sentences_away(recipe: Path) -> None:
    from translator.config import load_config

    pairs, counts = prepare(load_config(recipe).corpus)
    assert [pair.ko for pair in pairs] == ["오늘 날씨가 좋네요.", "어디 가?"]
    assert (counts["duplicate"], counts["held out"]) == (1, 2)


def test_corpus_prepare_writes_what_training_reads(recipe: Path) -> None:
    output = recipe.with_name("new") / "out.tsv"
    result = CliRunner().invoke(corpus, ["prepare", str(recipe), "--output", str(output)])
    assert result.exit_code == 0, result.output
    lines = output.read_text(encoding="utf-8").splitlines()
    assert lines == ["오늘 날씨가 좋네요.\tThe weather is nice today.\t0.5", "어디 가?\tWhere are you going?\t0.5"]
    assert [file.name for file in output.parent.iterdir()] == ["out.tsv"]
    table = dict(line.rsplit(maxsplit=1) for line in result.output.splitlines())
    assert table == {**dict.fromkeys(RULES, "0"), "read": "5", "duplicate": "1", "held out": "2", "kept": "2"}

    result = CliRunner().invoke(
        corpus, ["prepare", str(recipe), "--output", str(output), "--set", "corpus.max_characters=10"]
    )
    assert output.read_text(encoding="utf-8") == ""
    assert result.exit_code == 0


def test_corpus_prepare_leaves_the_old_file_when_it_cannot_write(recipe: Path) -> None:
    blocked = recipe.with_name("file")
    blocked.write_text("old", encoding="utf-8")
    result = CliRunner().invoke(corpus, ["prepare", str(recipe), "--output", str(blocked / "out.tsv")])
    assert isinstance(result.exception, TranslatorError)
    assert "cannot be written" in str(result.exception)
    assert blocked.read_text(encoding="utf-8") == "old"


def test_corpus_stats(recipe: Path) -> None:
    train, dev = str(recipe.with_name("train.tsv")), str(recipe.with_name("dev.tsv"))
    result = CliRunner().invoke(corpus, ["stats", "--json", train, dev])
    first, second = json.loads(result.output)
    assert (first["file"], first["pairs"], first["duplicates"], second["pairs"]) == (train, 5, 1, 1)
    assert first["en"]["tokens"] == {"mean": 4.8, "p50": 5, "p95": 5, "p99": 5, "max": 5}
    assert first["ko"]["characters"]["max"] == 11
    assert first["ko"]["detected"] == {"ko": 1.0}
    assert first["en"]["detected"] == {"en": 1.0}
    assert sum(first["speech_levels"].values()) == pytest.approx(1)

    result = CliRunner().invoke(corpus, ["stats", train, dev])
    assert result.exit_code == 0
    assert train in result.output
    assert "pairs 5" in result.output
    assert "speech levels" in result.output


def test_corpus_stats_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").touch()
    for options in ([], ["--json"]):
        assert CliRunner().invoke(corpus, ["stats", *options, str(tmp_path / "a.tsv")]).exit_code == 0


def test_help_shows_an_example_and_imports_nothing_heavy() -> None:
    for command in ("stats", "prepare"):
        assert f"translator corpus {command}" in CliRunner().invoke(corpus, [command, "--help"]).output
    code = (
        "import sys, translator.cli.corpus; sys.exit(bool({'torch', 'datasets', 'sentencepiece'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
