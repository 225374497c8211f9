"""`translate` as people use it: arguments, files, pipes, and whatever else they throw at it."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import time
import unicodedata
from pathlib import Path

import pytest

from translator.corpus import read_test_set
from translator.pipeline import Translator
from translator.text import SPEECH_LEVELS, speech_level

ROOT = Path(__file__).parent.parent.parent
HANGUL = re.compile("[가-힣]")


@pytest.fixture
def translate(command, model: Path):
    """Run `translate` in this process with the small model."""
    return lambda *arguments, input=b"": command("translate", "--model", model, "--threads", 1, *arguments, input=input)


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


# as a process


def test_the_command_and_the_group_give_the_same_in_a_process_and_from_every_way_in(
    execute, model, translate, tmp_path
) -> None:
    texts = ["오늘 날씨가 정말 좋네요.", "See you tomorrow."]
    source, target = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("\n".join(texts) + "\n", encoding="utf-8")
    expected = execute("translate", "--model", model, *texts)
    assert expected.code == 0
    assert expected.err == ""
    assert len(expected.lines) == 2
    assert HANGUL.search(expected.lines[1])
    piped = execute("translator", "translate", "--model", model, input=source.read_bytes())
    assert piped == expected
    assert translate(*texts) == expected
    assert translate("-i", source) == expected
    result = translate("-i", source, "-o", target)
    assert (result.code, result.out, result.err) == (0, b"", "")
    assert target.read_bytes() == expected.out


def test_a_slow_pipe_is_answered_line_by_line(start, model) -> None:
    with start("translate", "--model", model, "--threads", 1) as process:
        assert process.stdin
        assert process.stdout
        for text in ("안녕하세요.\n", "Thank you.\n"):
            process.stdin.write(text.encode())
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 60)[0], "no answer while the pipe is open"
            assert process.stdout.readline().strip()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, b"", b"")


@pytest.mark.parametrize("stdin_stays_open", [False, True])
def test_a_reader_that_leaves_early_ends_it_quietly(start, model, tmp_path, stdin_stays_open) -> None:
    source = tmp_path / "long.txt"
    source.write_text("안녕하세요. 오늘은 비가 와요.\n" * 2000, encoding="utf-8")
    arguments = ["--model", model, "--threads", 1, "--beam", 1, "--batch-size", 4]
    with start("translate", *arguments, *([] if stdin_stays_open else ["-i", source])) as process:
        assert process.stdin
        assert process.stdout
        if stdin_stays_open:
            process.stdin.write("안녕하세요.\n".encode())
            process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        if stdin_stays_open:
            process.stdin.write("안녕하세요.\n".encode())
            process.stdin.flush()
        assert process.wait(timeout=60) == 0
        assert process.stderr
        assert process.stderr.read() == b""


def test_a_killed_run_leaves_the_old_file_and_no_other(start, model, tmp_path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old\n")
    with start("translate", "--model", model, "--threads", 1, "-o", target) as process:
        assert process.stdin
        process.stdin.write("안녕하세요.\n".encode())
        process.stdin.flush()
        wait_for(lambda: any(p.stat().st_size for p in tmp_path.glob(".*")))  # the first line is translated
        assert target.read_text() == "old\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]
    assert target.read_text() == "old\n"


@pytest.mark.parametrize(
    ("redirection", "code", "message"),
    [
        ("hello <&-", 0, ""),
        ("<&-", 2, "error: standard input is closed; give TEXT or --input FILE"),
        ("hello >&-", 2, "error: standard output is closed; give --output FILE"),
        ("hello >/dev/full", 2, "error: output: No space left on device"),
        ("hello -o /dev/full", 2, "error: output: No space left on device"),
    ],
)
def test_streams_that_are_closed_or_full(shell, model, redirection, code, message) -> None:
    result = shell(f"translate --model '{model}' --threads 1 {redirection}")
    assert (result.code, result.err.strip()) == (code, message)


# one line out for each line in

KOREAN = "오늘은 비가 와요."
INPUTS = {
    "empty": "",
    "one empty line": "\n",
    "blank lines": "\n \n\t\n\n",
    "no final line feed": f"{KOREAN}\nHello there.",
    "blank lines between": f"\n{KOREAN}\n\n\n{KOREAN}\n",
    "line separators inside": f"{KOREAN}\u2028{KOREAN}\u2029{KOREAN}\n{KOREAN}\x85{KOREAN}\x0b{KOREAN}\x0c{KOREAN}\n",
    "carriage return inside": f"{KOREAN}\r{KOREAN}\n",
    "control characters": "\x00\x01\x02\x1b[31m안녕\x1b[0m\x7f\n\x00\n",
    "emoji only": "😀👍🏽👨‍👩‍👧\n🇰🇷\n",
    "digits only": "12345\n3.14\n010-1234-5678\n",
    "punctuation only": "...\n?!\n---\n",
    "other scripts": "你好\nПривет\nこんにちは\n",
    "mixed languages": "나는 Python을 좋아해요. I love 김치.\nHello 안녕 hello 안녕\n",
    "tags of the model": "<2ko> <s> </s> <unk> <ph0> <0x0A> ▁ <polite>\n",
    "byte-order mark": "\ufeff안녕하세요.\nHi.\n",
    "right to left": "\u202e안녕\u202c\nשלום\n",
    "lone jamo": "ㅋㅋㅋ ㅠㅠ\nㅇㅇ\n",
}


@pytest.mark.parametrize("text", INPUTS.values(), ids=INPUTS)
def test_one_line_out_for_each_line_in(translate, text) -> None:
    result = translate("--beam", 2, input=text.encode())
    assert result.code == 0
    assert result.err == ""
    lines = text.removesuffix("\n").split("\n") if text else []
    assert len(result.lines) == len(lines)
    for line, translation in zip(lines, result.lines, strict=True):
        assert bool(translation.strip()) == bool(re.sub(r"[\s\x00-\x1f]", "", line))


@pytest.mark.parametrize("name", ["emoji only", "digits only", "punctuation only", "other scripts"])
def test_what_has_no_letters_of_either_language_passes_through(translate, name) -> None:
    assert translate(input=INPUTS[name].encode()).out == INPUTS[name].encode()


def test_text_in_the_target_language_passes_through(translate) -> None:
    assert translate("--to", "ko", KOREAN, "  " + KOREAN).lines == [KOREAN, "  " + KOREAN]
    assert translate("--to", "en", "It  rains.").lines == ["It  rains."]
    assert translate("--from", "ko", "It rains.").lines == ["It rains."]


def test_line_ends_are_kept(translate) -> None:
    lines = translate(input=f"{KOREAN}\r\n\r\n{KOREAN}\n{KOREAN}\r\n".encode()).out.split(b"\n")
    assert [line.endswith(b"\r") for line in lines] == [True, True, False, True, False]
    assert lines[1] == b"\r"
    assert lines[0] == lines[2] + b"\r"


def test_bytes_that_are_no_text_are_named_and_survived(translate) -> None:
    good = translate(input=KOREAN.encode()).lines
    lines = [KOREAN.encode(), b"\xff\xfe" + KOREAN.encode(), b"", b"\x80abc\xc3", KOREAN.encode()]
    result = translate(input=b"\n".join(lines) + b"\n")
    assert result.code == 0
    assert [line.partition(":")[2].split(":")[0] for line in result.err.splitlines()] == [" line 2", " line 4"]
    assert "UTF-8" in result.err
    assert len(result.lines) == 5
    assert [result.lines[0], result.lines[4]] == good * 2
    quiet = translate("--quiet", input=b"\n".join(lines) + b"\n")
    assert (quiet.err, quiet.out) == ("", result.out)


def test_a_binary_file_is_survived(translate, model, tmp_path) -> None:
    content = (model / "model.safetensors").read_bytes()[5000:9000] + bytes(range(256))
    source = tmp_path / "binary"
    source.write_bytes(content)
    result = translate("--beam", 1, "-i", source)
    assert result.code == 0
    assert result.out.count(b"\n") == content.count(b"\n") + (not content.endswith(b"\n"))
    assert "line 1:" in result.err


def test_an_argument_that_is_not_utf8_is_replaced_too(translate) -> None:
    result = translate("--format", "json", os.fsdecode(b"\xff") + KOREAN)
    assert json.loads(result.out)["source"] == "\ufffd" + KOREAN
    assert "UTF-8" in result.err


@pytest.mark.parametrize("text", ["오늘 비가 와요. ", "비가와서집에있었어요", "rainy days, sunny nights ", "x"])
def test_a_line_of_100_000_characters(translate, text) -> None:
    long = (text * 100_000)[:100_000]
    start = time.monotonic()
    result = translate("--beam", 1, input=f"{long}\n{KOREAN}\n".encode())
    assert time.monotonic() - start < 60
    assert result.code == 0
    assert len(result.lines) == 2
    assert len(result.lines[0]) > 1000
    assert result.lines[1:] == translate("--beam", 1, KOREAN).lines


def test_decomposed_hangul_is_the_same_text(translate) -> None:
    composed, decomposed = (unicodedata.normalize(form, KOREAN) for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert translate(composed).out == translate(decomposed).out


def test_sentences_and_line_breaks_of_one_text_stay_in_their_place(translate) -> None:
    text = f"  {KOREAN}  {KOREAN}\n\n\t{KOREAN}\n"
    one = translate(KOREAN).lines[0]
    (result,) = map(json.loads, translate("--format", "json", text).lines)
    assert result["translation"].rstrip("\n") == f"  {one}  {one}\n\n\t{one}"


# formats


def joined(tokens: list[str]) -> str:
    """What pieces spell: <0xEA> and the like are bytes, ▁ begins a word."""
    spelled = b"".join(bytes.fromhex(t[3:5]) if re.fullmatch("<0x..>", t) else t.encode() for t in tokens)
    return spelled.decode(errors="replace").replace("▁", " ").strip()


KEYS = {"source", "translation", "score", "language_pair", "alternatives", "tokens"}


def test_json_lines(translate) -> None:
    texts = [KOREAN, "I'm at home.", "", "12:30"]
    result = translate("--format", "json", "--alternatives", 2, input="\n".join(texts).encode())
    records = [json.loads(line) for line in result.lines]
    assert [set(record) for record in records] == [KEYS] * 4
    assert [record["source"] for record in records] == texts
    assert [record["language_pair"] for record in records] == ["ko-en", "en-ko", None, None]
    assert [record["translation"] for record in records[2:]] == texts[2:]
    for record in records[:2]:
        assert record["score"] < 0
        assert joined(record["tokens"]) == record["translation"]
        found = [record["translation"], *(other["translation"] for other in record["alternatives"])]
        assert len(found) == len(set(found)) == 3
    assert [(record["score"], record["tokens"], record["alternatives"]) for record in records[2:]] == [
        (None, [], [])
    ] * 2


def test_attention_fits_the_tokens_and_its_rows_sum_to_1(translate) -> None:
    two = f"{KOREAN} 저는 집에 있어요."
    records = [json.loads(line) for line in translate("--format", "json", "--align", two, "Hi there.", "42").lines]
    assert [len(record["attention"]) for record in records] == [2, 1, 0]
    for record in records[:2]:
        tokens = []
        for part in record["attention"]:
            tokens += [token for token in part["target_tokens"] if token != "</s>"]
            assert part["source_tokens"][-1] == "</s>"
            assert len(part["weights"]) == len(part["target_tokens"])
            for row in part["weights"]:
                assert len(row) == len(part["source_tokens"])
                assert sum(row) == pytest.approx(1, abs=0.01)
        assert tokens == record["tokens"]


def test_tsv_has_source_translation_score_and_alternatives(translate) -> None:
    rows = [
        line.split("\t")
        for line in translate("--format", "tsv", "--alternatives", 1, input=f"{KOREAN}\na\tb\n\n".encode()).lines
    ]
    assert [row[0] for row in rows] == [KOREAN, "a b", ""]
    assert rows[0][1] == translate(KOREAN).lines[0]
    assert float(rows[0][2]) < 0
    assert rows[0][3] not in (rows[0][1], "")
    assert rows[2][1:3] == ["", ""]


def test_alternatives_in_text_are_columns_and_leave_the_first_translation_alone(translate) -> None:
    texts = ["I'm at home.", KOREAN, "See you tomorrow.", "저는 커피를 좋아해요."]
    plain = translate(*texts).lines
    for count in (1, 3):
        rows = [line.split("\t") for line in translate("--alternatives", count, *texts).lines]
        assert [len(row) for row in rows] == [1 + count] * 4
        assert [row[0] for row in rows] == plain
        assert all(len(set(row)) == len(row) for row in rows)


def test_style_changes_the_tag_and_threads_and_batches_nothing(translate, dev) -> None:
    texts = "\n".join(ko for ko, _ in dev[:12]).encode()
    assert translate("--batch-size", 1, input=texts).out == translate("--batch-size", 100, input=texts).out
    styles = [
        translate("--style", style, "--format", "json", "I went home.") for style in ("polite", "formal", "casual")
    ]
    assert len({json.loads(result.out)["score"] for result in styles}) > 1
    assert styles[0].out == translate("--format", "json", "I went home.").out


# mistakes


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--style", "rude", "hi"], "rude"),
        (["--to", "fr", "hi"], "fr"),
        (["--from", "jp", "hi"], "jp"),
        (["--model", "nonesuch", "hi"], "nonesuch"),
        (["--model", "{folder}", "hi"], "config.json"),
        (["--align", "hi"], "--format json"),
        (["--input", "in.txt", "hi"], "--input"),
        (["--input", "missing.txt"], "missing.txt"),
        (["--input", "{folder}"], "cannot be read"),
        (["--beam", "0", "hi"], "--beam"),
        (["--beam", "many", "hi"], "many"),
        (["--alternatives", "-1", "hi"], "--alternatives"),
        (["--format", "xml", "hi"], "xml"),
        (["--nonesuch", "hi"], "--nonesuch"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(translate, tmp_path, arguments, named) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    target = tmp_path / "out.txt"
    target.write_text("old\n")
    result = translate("-o", target, *(argument.format(folder=folder) for argument in arguments), input=b"hi\n")
    assert result.code == 2
    assert result.out == b""
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert named in result.err
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "out.txt"}
    assert target.read_text() == "old\n"


def test_output_that_cannot_be_written(translate, tmp_path) -> None:
    for target in (tmp_path, tmp_path / "none" / "out.txt"):
        result = translate("-o", target, "hi")
        assert (result.code, result.out) == (2, b"")
        assert re.fullmatch(r"error: .*cannot be written \(.*\)\n", result.err)
    assert list(tmp_path.iterdir()) == []


def test_input_and_output_can_be_the_same_file(translate, tmp_path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(KOREAN + "\n", encoding="utf-8")
    assert translate("-i", path, "-o", path).code == 0
    assert path.read_text(encoding="utf-8").rstrip("\n") == translate(KOREAN).lines[0]


def test_a_link_stays_a_link_and_its_file_is_replaced(translate, tmp_path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    target.write_text("old\n")
    link.symlink_to(target)
    assert translate("-o", link, "42").code == 0
    assert link.is_symlink()
    assert target.read_text() == "42\n"


def test_a_dash_is_standard_input_and_output(translate) -> None:
    assert translate("-i", "-", "-o", "-", input=KOREAN.encode()) == translate(KOREAN)


def test_a_line_that_fails_is_left_empty_and_costs_no_other(translate, monkeypatch, tmp_path) -> None:
    original = Translator.translate

    def fragile(self, texts, **options):
        if any("poison" in text for text in texts):
            raise RuntimeError("out of luck")
        return original(self, texts, **options)

    monkeypatch.setattr(Translator, "translate", fragile)
    target = tmp_path / "out.txt"
    result = translate("-o", target, input=f"{KOREAN}\npoison\n{KOREAN}\n".encode())
    assert result.code == 1
    assert re.fullmatch(r"warning: line 2: left empty, .*out of luck.*\n", result.err)
    lines = target.read_text(encoding="utf-8").split("\n")
    assert [bool(line) for line in lines] == [True, False, True, False]


# with the model that is shipped


def test_the_shipped_model_greets(shipped) -> None:
    assert re.search(r"hello|hi\b", shipped.translate("안녕하세요.").text, re.I)


def test_the_shipped_model_as_a_process_needs_no_option(execute) -> None:
    result = execute("translate", "감사합니다.", "Thank you.")
    assert result.code == 0
    english, korean = result.lines
    assert re.search(r"thank|appreciate|grateful", english, re.I)
    assert re.search("감사|고마", korean)


def test_the_shipped_model_has_both_directions_and_speaks_every_style(shipped) -> None:
    assert set(shipped.directions) == {"ko-en", "en-ko"}
    english = [en for _, en in read_test_set(ROOT / "data" / "everyday" / "dev.tsv")[:40]]
    for style in SPEECH_LEVELS:
        answers = shipped.translate(english, style=style)
        reached = sum(speech_level(answer.text) == style for answer in answers)
        assert reached >= 0.85 * len(english), f"{style}: {reached} of {len(english)}"


def test_the_shipped_model_knows_the_weather(shipped) -> None:
    assert "weather" in shipped.translate("오늘 날씨가 정말 좋네요.").text.lower()
