"""`translator` and its other commands: help, models, evaluate, tokenizer, corpus, train."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from translator.checkpoint import shipped_models
from translator.tokenizer import Tokenizer
from translator.training.state import load_state

# help

HELP = """
import json, sys, click
from click.testing import CliRunner
from translator.cli import group
from translator.cli.translate import translate

def pages(command, path):
    yield path, CliRunner().invoke(command, ["--help"], prog_name=path).output
    for name, child in getattr(command, "commands", {}).items():
        yield from pages(child, f"{path} {name}")

found = dict([*pages(translate, "translate"), *pages(group, "translator")])
heavy = sorted({"torch", "datasets", "sentencepiece", "numpy", "rich", "sacrebleu"} & set(sys.modules))
print(json.dumps([found, heavy]))
"""


@pytest.fixture(scope="module")
def help_pages() -> dict[str, str]:
    result = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    pages, heavy = json.loads(result.stdout)
    assert heavy == [], "--help must be quick"
    return pages


def test_every_help_page_has_an_example_of_its_command(help_pages) -> None:
    assert {"translate", "translator", "translator translate", "translator corpus prepare"} <= set(help_pages)
    for path, page in help_pages.items():
        example = re.search(r"Examples?: (.*)", page)
        assert example, f"{path} --help has no example"
        assert path.removeprefix("translator translate") in page[example.start() :], path


def test_help_of_the_installed_command_starts_quickly(execute) -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        result = execute("translate", "--help")
        seconds.append(time.perf_counter() - start)
    assert result.code == 0
    assert "오늘 날씨가" in result.out.decode()
    assert min(seconds) < 0.3


def test_a_group_without_a_command_shows_its_help(command) -> None:
    for group in ([], ["corpus"], ["tokenizer"]):
        result = command("translator", *group)
        assert result.code in (0, 2)
        assert "\nCommands:\n" in result.out.decode() + result.err


@pytest.mark.parametrize(
    "arguments", [["nonesuch"], ["corpus", "nonesuch"], ["train"], ["evaluate"], ["train", "missing.toml"]]
)
def test_a_mistake_is_one_line(command, arguments) -> None:
    result = command("translator", *arguments)
    assert (result.code, result.out) == (2, b"")
    assert re.fullmatch(r"error: .+\n", result.err)


def test_version(command) -> None:
    from translator import __version__

    assert __version__ in command("translator", "--version").out.decode()


# models


def test_models_lists_what_is_at_hand(command, model) -> None:
    rows = json.loads(command("translator", "models", "--format", "json", model).out)
    assert [row["name"] for row in rows] == [*shipped_models(), "last"]
    row = rows[-1]
    assert row["directions"] == ["ko-en", "en-ko"]
    assert row["folder"] == str(model)
    assert row["megabytes"] == pytest.approx(sum(f.stat().st_size for f in model.iterdir()) / 1e6, abs=0.1)
    assert any("BLEU" in name for name in row["scores"])
    text = command("translator", "models", model).out.decode()
    assert f"last  ko-en, en-ko  {row['megabytes']} MB  {model}" in text


def test_models_says_what_is_no_model(command, tmp_path) -> None:
    result = command("translator", "models", tmp_path)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "config.json" in result.err


# evaluate


def test_evaluate_gives_scores_with_signatures(command, model, recipe) -> None:
    dev = recipe.with_name("dev.tsv")
    arguments = ["translator", "evaluate", "--test-set", dev, "--model", model, "--threads", 1, "--beam", 1]
    rows = json.loads(command(*arguments, "--format", "json").out)
    assert [(row["test_set"], row["direction"], row["sentences"]) for row in rows] == [
        (str(dev), "ko-en", 60),
        (str(dev), "en-ko", 60),
    ]
    for row, tokenizer in zip(rows, ("13a", "char"), strict=True):
        assert set(row["scores"]) == {"BLEU", "chrF2"}
        assert all(0 <= metric["score"] <= 100 for metric in row["scores"].values())
        assert f"tok:{tokenizer}" in row["scores"]["BLEU"]["signature"]
        assert "version:" in row["scores"]["chrF2"]["signature"]
        assert row["beam_size"] == 1
        assert row["sentences_per_second"] > 0
    lines = command(*arguments, "--from", "ko").lines
    bleu = rows[0]["scores"]["BLEU"]
    assert lines[0] == f"{dev}  ko-en  BLEU {bleu['score']:.2f}  {bleu['signature']}"
    assert all("ko-en" in line for line in lines)


@pytest.mark.parametrize(("name", "content"), [("empty.tsv", ""), ("one.tsv", "한 칸\n"), ("odd.xyz", "가\ta\n")])
def test_evaluate_says_what_is_wrong_with_a_test_set(command, model, tmp_path, name, content) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    result = command("translator", "evaluate", "--test-set", path, "--model", model, "--threads", 1)
    assert (result.code, result.out) == (2, b"")
    assert re.fullmatch(rf"error: .*{name}.*\n", result.err)


# tokenizer


def test_tokenizer_train_encode_and_decode(command, recipe, tmp_path) -> None:
    path = tmp_path / "new" / "tokenizer.model"
    result = command("translator", "tokenizer", "train", recipe, "--output", path, "--set", "tokenizer.vocab_size=1300")
    assert result.code == 0
    assert Tokenizer.load(path).vocab_size == 1300
    assert "1300 pieces" in result.err
    text = "오늘은 비가 와요.\nHello there.\n\nㅋㅋㅋ 😀\n"
    pieces = command("translator", "tokenizer", "encode", "--model", path, input=text.encode())
    assert pieces.lines[1].replace(" ", "") == "▁Hello▁there."
    ids = command("translator", "tokenizer", "encode", "--ids", "--model", path, input=text.encode())
    assert len(ids.lines) == len(pieces.lines) == 4
    assert [len(a.split()) for a in ids.lines] == [len(b.split()) for b in pieces.lines]
    assert command("translator", "tokenizer", "decode", "--model", path, input=ids.out).out == text.encode()


def test_tokenizer_survives_lines_that_are_no_text(command, model) -> None:
    path = model / "tokenizer.model"
    bad = b"\xffab\r\nab\rab\n\x00\n\n"
    assert len(command("translator", "tokenizer", "encode", "--model", path, input=bad).lines) == 4
    for line in (b"1 2 x", b"99999", b"-1", b"\xff", "²".encode()):
        result = command("translator", "tokenizer", "decode", "--model", path, input=b"5\n" + line + b"\n")
        assert result.code == 2
        assert re.fullmatch(r"error: line 2: .*\n", result.err)


def test_tokenizer_says_what_is_no_tokenizer(command, model, tmp_path) -> None:
    for path in (tmp_path / "none", model / "config.json"):
        result = command("translator", "tokenizer", "encode", "--model", path, input=b"a\n")
        assert (result.code, result.out) == (2, b"")
        assert re.fullmatch(rf"error: .*{path.name}.*\n", result.err)


# corpus


def test_corpus_stats(command, recipe) -> None:
    files = [recipe.with_name("train.tsv"), recipe.with_name("dev.tsv")]
    reports = json.loads(command("translator", "corpus", "stats", "--json", *files).out)
    assert [(report["file"], report["pairs"]) for report in reports] == [(str(files[0]), 1500), (str(files[1]), 60)]
    assert reports[0]["ko"]["characters"]["max"] < 40
    assert reports[0]["ko"]["detected"]["ko"] > 0.9
    assert sum(reports[0]["speech_levels"].values()) == pytest.approx(1, abs=0.01)
    assert "pairs 1,500" in command("translator", "corpus", "stats", *files).out.decode()


def test_corpus_prepare_writes_what_is_left_and_says_why(command, recipe, tmp_path) -> None:
    source = tmp_path / "raw.tsv"
    source.write_text("안녕\tHi\n안녕\tHi\n\tempty\nKorean?\tno\n잘 가\tBye\n", encoding="utf-8")
    target = tmp_path / "clean.tsv"
    sources = f'corpus.sources=[{{path="{source.as_posix()}"}}]'
    result = command("translator", "corpus", "prepare", recipe, "--output", target, "--set", sources)
    assert result.code == 0
    assert target.read_text(encoding="utf-8") == "안녕\tHi\t1\n잘 가\tBye\t1\n"
    counts = {name: int(count) for name, count in (line.rsplit(maxsplit=1) for line in result.lines)}
    assert (counts["read"], counts["kept"]) == (5, 2)
    assert counts["duplicate"] == counts["empty"] == counts["wrong script"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean.tsv", "raw.tsv"]


# train


def test_a_run_is_a_folder_with_models_and_what_resuming_needs(trained) -> None:
    assert {"best", "last", "state.pt", "tokenizer.model"} <= {path.name for path in trained.iterdir()}
    assert load_state(trained)["counters"]["step"] == 150
    assert not [path for path in trained.rglob("*") if path.name.endswith((".new", ".old", ".tmp"))]


def test_interrupted_by_sigterm_and_resumed_it_ends_with_the_same_bytes(
    start, execute, recipe, trained, tmp_path
) -> None:
    folder = tmp_path / "run"
    with start("translator", "train", recipe, "--output", folder, "--threads", 1) as process:
        assert process.stderr
        while b"weights" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(0.4)
        process.terminate()
        rest = process.stderr.read().decode()
        assert process.wait(timeout=60) == 0
    stopped = load_state(folder)["counters"]["step"]
    assert f"stopped at step {stopped}: SIGTERM" in rest
    assert 0 < stopped < 150
    result = execute("translator", "train", recipe, "--output", folder, "--threads", 1, "--resume")
    assert result.code == 0, result.err
    assert f"step {stopped}\n" in result.err
    assert load_state(folder)["counters"]["step"] == 150
    for name in ("last/model.safetensors", "tokenizer.model"):
        assert (folder / name).read_bytes() == (trained / name).read_bytes()


def test_a_run_is_not_overwritten(command, recipe, trained) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    result = command("translator", "train", recipe, "--output", trained)
    assert (result.code, result.out) == (2, b"")
    assert re.fullmatch(r"error: .*--resume.*\n", result.err)
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


def test_nothing_is_resumed_where_there_is_nothing(command, recipe, tmp_path) -> None:
    result = command("translator", "train", recipe, "--output", tmp_path / "typo", "--resume")
    assert result.code == 2
    assert re.fullmatch(r"error: .*nothing to resume.*\n", result.err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("training.nonesuch=1", "training.nonesuch"),
        ("training.max_steps=many", "training.max_steps"),
        ("model.cell=transformer", "lstm, gru, rnn"),
        ("model.heads=7", "model.heads"),
        ("nonsense", "section.key=value"),
        ("corpus.dev=missing.tsv", "missing.tsv"),
        ("tokenizer.vocab_size=60000", "tokenizer.vocab_size"),
    ],
)
def test_a_recipe_that_cannot_work_is_one_line(command, recipe, tmp_path, override, named) -> None:
    result = command("translator", "train", recipe, "--output", tmp_path / "run", "--set", override)
    assert result.code == 2
    assert re.fullmatch(r"error: .+\n", result.err)
    assert named in result.err


def test_two_processes_learn_what_one_does_with_two_batches_a_step(shell, recipe, tmp_path) -> None:
    same = {
        "corpus.dev": '""',
        "model.dropout": 0.0,
        "training.source_word_dropout": 0.0,
        "training.target_word_dropout": 0.0,
        "training.max_steps": 12,
        "training.learning_rate": 0.001,
    }
    options = " ".join(f"--set '{key}={value}'" for key, value in same.items()) + " --threads 1"
    one, two = tmp_path / "one", tmp_path / "two"
    python = f"'{sys.executable}' -m"
    for line in (
        f"{python} translator train '{recipe}' --output '{one}' {options} --set training.accumulate=2",
        f"{python} torch.distributed.run --standalone --nproc-per-node 2 "
        f"-m translator train '{recipe}' --output '{two}' {options}",
    ):
        result = shell(line)
        assert result.code == 0, result.err
    assert "2 process(es)" in result.err
    states = [load_state(folder) for folder in (one, two)]
    assert states[0]["counters"]["step"] == states[1]["counters"]["step"] == 12
    assert states[0]["counters"]["tokens"] == states[1]["counters"]["tokens"]
    for name, weight in states[0]["model"].items():
        torch.testing.assert_close(states[1]["model"][name], weight, atol=1e-4, rtol=0)
    assert (two / "last" / "model.safetensors").is_file()


def test_the_package_runs_as_a_module(shell, model) -> None:
    result = shell(f"echo 안녕하세요. | '{Path(sys.executable)}' -m translator translate --model '{model}'")
    assert (result.code, len(result.lines), result.err) == (0, 1, "")
