"""Every format gives back the text that was written, and every mistake in a file is one line that names it."""

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from translator.config import CorpusConfig, SourceConfig
from translator.corpus.encode import Pair
from translator.corpus.load import load_pairs, load_source, read_test_set
from translator.errors import TranslatorError

# What readers like to turn into something else: missing values, numbers, dates, quotations, ends of lines, blanks.
NASTY = [
    *["NA", "null", "nan", "None", "", "123", "007", "1.50", "1e5", "True", "2020-01-01", "12:30"],
    *['he said "hi"', '"open', "it's", "# not a comment", "a,b", "a\\tb", "\\", "{}", "  blanks  ", "\u00a0", "\u3000"],
    *[
        "a\u2028b",
        "a\u2029b",
        "a\x0bb",
        "a\x0cb",
        "a\x1cb",
        "a\x85b",
        "a\rb",
        "e\u0301",
        "\u1100\u1161",
        "👨‍👩‍👧",
        "ㅋㅋ",
    ],
]
PAIRS = [(cell, f"{cell}{number}") for number, cell in enumerate(NASTY)] + [(f"{c}!", c) for c in NASTY]

line = st.text(st.characters(exclude_characters="\t\n\r\ufeff", exclude_categories=["Cs"]))


def write(path: Path, text: str) -> str:
    path.write_bytes(text.encode())
    return str(path)


def write_tsv(path: Path, rows: list[tuple[str, ...]]) -> str:
    return write(path, "".join("\t".join(row) + "\n" for row in rows))


def write_csv(path: Path, rows: list[tuple[str, ...]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([("ko", "domain", "en"), *((ko, "daily", en) for ko, en in rows)])
    return write(path, text.getvalue())


def write_jsonl(path: Path, rows: list[tuple[str, ...]]) -> str:
    return write(path, "".join(json.dumps({"ko": ko, "en": en}, ensure_ascii=False) + "\n" for ko, en in rows))


def write_parquet(path: Path, rows: list[tuple[str, ...]]) -> str:
    import pyarrow
    import pyarrow.parquet

    ko, en = zip(*rows, strict=True)
    pyarrow.parquet.write_table(pyarrow.table({"id": list(range(len(rows))), "ko": ko, "en": en}), path)
    return str(path)


def write_aligned(path: Path, rows: list[tuple[str, ...]]) -> str:
    for side, suffix in enumerate((".ko", ".en")):
        write(path.with_name(path.name + suffix), "".join(row[side] + "\n" for row in rows))
    return str(path)


FORMATS = {
    "corpus.tsv": write_tsv,
    "corpus.csv": write_csv,
    "corpus.jsonl": write_jsonl,
    "corpus.parquet": write_parquet,
    "corpus": write_aligned,
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_nasty_cells_back(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = FORMATS[name](tmp_path / name, PAIRS)
    assert load_source(SourceConfig(path)) == PAIRS
    assert read_test_set(path) == PAIRS
    assert capfd.readouterr() == ("", "")


@given(st.lists(st.tuples(line, line), min_size=1))
@settings(max_examples=60, deadline=None)
def test_any_line_comes_back(rows: list[tuple[str, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("corpus.tsv", "corpus.jsonl", "corpus"):
            rows = [row for row in rows if row != ("ko", "en")]
            assert load_source(SourceConfig(FORMATS[name](Path(folder) / name, rows))) == rows


def test_tsv_columns(tmp_path: Path) -> None:
    plain = write_tsv(tmp_path / "a.tsv", [("가", "a", "daily"), ("나", "b")])
    assert load_source(SourceConfig(plain)) == [("가", "a"), ("나", "b")]
    swapped = write_tsv(tmp_path / "b.tsv", [("x", "a", "가")])
    assert load_source(SourceConfig(swapped, ko="2", en="1")) == [("가", "a")]
    named = write_tsv(tmp_path / "c.tsv", [("id", "English", "Korean"), ("1", "a", "가")])
    assert load_source(SourceConfig(named, ko="Korean", en="English")) == [("가", "a")]
    header = write_tsv(tmp_path / "d.tsv", [("en", "ko"), ("a", "가")])
    assert load_source(SourceConfig(header)) == [("가", "a")]
    with pytest.raises(TranslatorError, match=r"a\.tsv: the first line has no column 'Korean'"):
        load_source(SourceConfig(plain, ko="Korean"))


def test_line_ends_of_other_systems_and_byte_order_marks(tmp_path: Path) -> None:
    assert load_source(SourceConfig(write(tmp_path / "a.tsv", "\ufeff가\ta\r\n나\tb\r\n\r\n"))) == [
        ("가", "a"),
        ("나", "b"),
    ]
    assert load_source(SourceConfig(write(tmp_path / "b.csv", "\ufeffko,en\r\n가,a\r\n"))) == [("가", "a")]
    assert load_source(SourceConfig(write(tmp_path / "c.tsv", "가\ta"))) == [("가", "a")]
    assert load_source(SourceConfig(write(tmp_path / "d.tsv", ""))) == []


def test_aligned_files_keep_empty_lines_and_go_by_any_of_their_names(tmp_path: Path) -> None:
    prefix = write_aligned(tmp_path / "talk.v1", [("가", "a"), ("", ""), ("", "c"), ("", "")])
    for name in (prefix, f"{prefix}.ko", f"{prefix}.en"):
        assert load_source(SourceConfig(name)) == [("가", "a"), ("", ""), ("", "c"), ("", "")]


def test_cells_that_are_no_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"ko": null, "en": 123}\n\n{"translation": {"ko": "가", "en": "a"}}\n')
    assert load_source(SourceConfig(path)) == [("", "123"), ("가", "a")]


def test_a_column_named_translation(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(
        pyarrow.table({"translation": [{"ko": "가", "en": "a"}, {"ko": None, "en": "b"}]}), path
    )
    assert load_source(SourceConfig(str(path))) == [("가", "a"), ("", "b")]


def test_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked = []

    def load_dataset(*args: object, **options: object) -> object:
        asked.append((args, options))
        return datasets.Dataset.from_dict({"translation": [{"ko": "가", "en": "a"}]})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert load_source(SourceConfig("owner/name", split="validation")) == [("가", "a")]
    assert load_source(SourceConfig("owner/name:en-ko")) == [("가", "a")]
    assert asked == [(("owner/name", None), {"split": "validation"}), (("owner/name", "en-ko"), {"split": "train"})]

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("no network\nand more")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(TranslatorError, match=r"^owner/name: no such file, and not .* hub \(no network\)$"):
        load_source(SourceConfig("owner/name"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", b"\xea\xb0\x80\ta\n\xea\xb0\x80\n", r"a\.tsv, line 2: 1 column, but 2 needed"),
        ("a.tsv", b"\xea\xb0\x80\ta\n\n\xea\xb0\x80\ta\n", r"a\.tsv, line 2: 1 column, but 2 needed"),
        ("a.tsv", b"\xea\xb0\x80\ta\n\xb0\xa1\tb\n", r"a\.tsv, line 2: not UTF-8"),
        ("a.csv", b"ko,en\n\xb0\xa1,b\n", r"a\.csv, line 2: not UTF-8"),
        ("a.csv", b"Korean,English\nx,y\n", r"a\.csv: no column 'ko'; it has Korean, English"),
        ("a.csv", b"ko,en\nx\n", r"a\.csv, line 2: 1 columns, but the header has 2"),
        ("a.csv", b"", r"a\.csv: no column 'ko'; it has none"),
        ("a.csv", b"ko,en\nx,y\nx,y,z\n", r"a\.csv, line 3: 3 columns, but the header has 2"),
        ("a.jsonl", b'{"ko": "x", "en": "y"}\n{"ko": "x"}\n', r"a\.jsonl, line 2: no column 'en'; it has ko"),
        ("a.jsonl", b"\n{ko}\n", r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", b'["x", "y"]\n', r"a\.jsonl, line 1: not a JSON object"),
        ("a.parquet", b"PAR1", r"a\.parquet: cannot be read"),
        ("a.txt", b"x\ty\n", r"a\.txt: cannot tell the format from the name; set format"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TranslatorError, match=message) as raised:
        load_source(SourceConfig(str(tmp_path / name)))
    assert "\n" not in str(raised.value)


def test_aligned_files_of_different_lengths(tmp_path: Path) -> None:
    write(tmp_path / "a.ko", "가\n나\n")
    write(tmp_path / "a.en", "a\n")
    with pytest.raises(TranslatorError, match=r"a\.ko has 2 lines but .*a\.en has 1"):
        load_source(SourceConfig(str(tmp_path / "a")))


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.parquet", "a.ko", "a/b/c", "a.txt"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(TranslatorError, match=name.replace(".", r"\.") + r".*(cannot be read|no such file)"):
        load_source(SourceConfig(str(tmp_path / name)))


def test_one_of_two_aligned_files_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "a.ko", "가\n")
    with pytest.raises(TranslatorError, match=r"a\.en: cannot be read \(No such file"):
        load_source(SourceConfig(str(tmp_path / "a")))


def test_a_folder_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(TranslatorError, match="is a folder"):
        load_source(SourceConfig(str(tmp_path)))


def test_the_format_can_be_given(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "가\ta\n")
    assert load_source(SourceConfig(path, format="tsv")) == [("가", "a")]


def test_sources_keep_their_order_and_weight(tmp_path: Path) -> None:
    first, second = write_tsv(tmp_path / "a.tsv", [("가", "a")]), write_jsonl(tmp_path / "b.jsonl", [("나", "b")])
    config = CorpusConfig(sources=(SourceConfig(second, weight=0.5), SourceConfig(first, weight=3.0)))
    assert load_pairs(config) == [Pair("나", "b", 0.5), Pair("가", "a", 3.0)]


def test_without_datasets_the_pip_line_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert read_test_set(write_tsv(tmp_path / "a.tsv", PAIRS)) == PAIRS
    with pytest.raises(TranslatorError, match=r'pip install "translator\[train\]"'):
        load_source(SourceConfig(write_csv(tmp_path / "a.csv", PAIRS)))


def test_nothing_is_left_on_disk_and_nothing_heavy_is_imported(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", PAIRS)
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys; from translator.corpus import load_source; from translator.config import SourceConfig\n"
        "assert not {'torch', 'datasets', 'pandas'} & set(sys.modules), 'heavy import'\n"
        f"load_source(SourceConfig({path!r}))\n"
    )
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XDG_"))}
    subprocess.run([sys.executable, "-c", code], check=True, env={**variables, "HOME": str(home)})
    assert not [p for p in home.rglob("*") if p.is_file()]
