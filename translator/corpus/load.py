"""Parallel corpora as (Korean, English) pairs: TSV, CSV, JSON lines, Parquet, aligned text files, hub data sets.

Every cell stays the text it is: nothing is read as a number, a date, a missing value or a quotation.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from translator.config import CorpusConfig, SourceConfig
from translator.corpus.encode import Pair
from translator.errors import TranslatorError

TextPair = tuple[str, str]  # Korean, English

ENDINGS = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".ko": "aligned",
    ".en": "aligned",
}
HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?(:[\w.-]+)?")  # owner/name, with a configuration after a colon


def load_source(source: SourceConfig) -> list[TextPair]:
    """Return the pairs of a source in its order; a missing (null) cell is an empty string.

    Raises TranslatorError naming the file, and the line where there is one.
    """
    kind = _detect_format(source) if source.format == "auto" else source.format
    try:
        return READERS[kind](source)
    except OSError as error:
        name = error.filename or source.path
        raise TranslatorError(f"{name}: cannot be read ({error.strerror or error})") from None


def load_pairs(config: CorpusConfig) -> list[Pair]:
    """Return the pairs of all sources, source after source, with the weight of their source."""
    return [Pair(ko, en, source.weight) for source in config.sources for ko, en in load_source(source)]


def read_test_set(path: str | Path) -> list[TextPair]:
    """Return the pairs of a development or test file just as they stand: no line is dropped or changed."""
    return load_source(SourceConfig(str(path)))


def _detect_format(source: SourceConfig) -> str:
    path = Path(source.path)
    if path.suffix.lower() in ENDINGS:
        return ENDINGS[path.suffix.lower()]
    if path.is_file():
        raise TranslatorError(f"{path}: cannot tell the format from the name; set format to tsv, csv, jsonl or parquet")
    if Path(f"{path}.ko").exists() or Path(f"{path}.en").exists():
        return "aligned"
    if path.is_dir() or not HUB_NAME.fullmatch(source.path):
        what = "is a folder; name a file in it" if path.is_dir() else "no such file"
        raise TranslatorError(f"{path}: {what} (aligned files are named without their .ko and .en)")
    return "hub"


def _read_text(path: str | Path) -> str:
    content = Path(path).read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TranslatorError(f"{path}, line {line}: not UTF-8; save the file as UTF-8") from None


def _read_lines(path: str | Path) -> list[str]:
    # Only \n ends a line: universal newlines (datasets' text builder) and splitlines also split at \r, \x85 or U+2028.
    lines = [line.removesuffix("\r") for line in _read_text(path).split("\n")]
    return lines if lines[-1] else lines[:-1]


def _read_aligned(source: SourceConfig) -> list[TextPair]:
    prefix = re.sub(r"\.(ko|en)$", "", source.path)
    ko, en = _read_lines(f"{prefix}.ko"), _read_lines(f"{prefix}.en")
    if len(ko) != len(en):
        raise TranslatorError(
            f"{prefix}.ko has {len(ko):,} lines but {prefix}.en has {len(en):,}; "
            "line n of one must translate line n of the other"
        )
    return list(zip(ko, en, strict=True))


def _read_tsv(source: SourceConfig) -> list[TextPair]:
    rows = [line.split("\t") for line in _read_lines(source.path)]
    while rows and rows[-1] == [""]:
        rows.pop()
    if not rows:
        return []
    header = source.ko in rows[0] and source.en in rows[0]
    if header:
        ko, en = rows[0].index(source.ko), rows[0].index(source.en)
    else:
        ko, en = _tsv_column(source, source.ko, "ko", 0), _tsv_column(source, source.en, "en", 1)
    for number, row in enumerate(rows, 1):
        if len(row) <= max(ko, en):
            raise TranslatorError(
                f"{source.path}, line {number}: {len(row)} column{'s' * (len(row) > 1)}, but {max(ko, en) + 1} needed; "
                "write Korean TAB English"
            )
    return [(row[ko], row[en]) for row in rows[header:]]


def _tsv_column(source: SourceConfig, name: str, default: str, index: int) -> int:
    if name == default:
        return index
    if name.isascii() and name.isdigit():
        return int(name)
    raise TranslatorError(
        f'{source.path}: the first line has no column {name!r}; without a header columns are "0", "1", …'
    )


def _read_jsonl(source: SourceConfig) -> list[TextPair]:
    # Not datasets' JSON builder: it turns strings that look like dates into dates.
    pairs = []
    for number, line in enumerate(_read_lines(source.path), 1):
        if not line.strip():
            continue
        where = f"{source.path}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise TranslatorError(f"{where}: not JSON ({error.msg}); write one object a line") from None
        if not isinstance(row, dict):
            raise TranslatorError(f"{where}: not a JSON object; write one object a line")
        pairs.append(_pick(row, source, where))
    return pairs


def _pick(row: dict[str, Any], source: SourceConfig, where: str) -> TextPair:
    nested = row.get("translation")
    cells = nested if source.ko not in row and isinstance(nested, dict) else row
    for name in (source.ko, source.en):
        if name not in cells:
            raise TranslatorError(
                f"{where}: no column {name!r}; it has {', '.join(map(str, cells)) or 'none'} (set ko and en)"
            )
    return _text(cells[source.ko]), _text(cells[source.en])


def _text(cell: object) -> str:
    return "" if cell is None else str(cell)


def _read_csv(source: SourceConfig) -> list[TextPair]:
    header = _check_csv(source.path)
    _pick(dict.fromkeys(header), source, source.path)
    with _quiet_datasets(source.path) as (datasets, cache):
        columns = [name for name in header if name in (source.ko, source.en)]
        table = datasets.Dataset.from_csv(
            source.path,
            features=datasets.Features({name: datasets.Value("string") for name in columns}),
            usecols=columns,
            cache_dir=cache,
            keep_in_memory=True,
            keep_default_na=False,
            na_filter=False,
            encoding="utf-8-sig",
        )
        return _table_pairs(table, source)


def _check_csv(path: str) -> list[str]:
    """Return the header; datasets would fill or cut rows of another length without a word."""
    rows = csv.reader(io.StringIO(_read_text(path), newline=""))
    header: list[str] = []
    try:
        for row in rows:
            header = header or row
            if row and len(row) != len(header):
                raise TranslatorError(
                    f"{path}, line {rows.line_num}: {len(row)} columns, but the header has {len(header)}; "
                    'put cells with a comma in "quotes"'
                )
    except csv.Error as error:
        raise TranslatorError(f"{path}, line {rows.line_num}: not CSV ({error})") from None
    return header


def _read_parquet(source: SourceConfig) -> list[TextPair]:
    if not Path(source.path).is_file():
        raise TranslatorError(f"{source.path}: no such file")
    with _quiet_datasets(source.path) as (datasets, cache):
        return _table_pairs(datasets.Dataset.from_parquet(source.path, cache_dir=cache, keep_in_memory=True), source)


def _read_hub(source: SourceConfig) -> list[TextPair]:
    name, _, configuration = source.path.partition(":")
    # The hub's own cache, not a temporary one: the next run needs no download.
    with _quiet_datasets(source.path, "no such file, and not to be had from the Hugging Face hub") as (datasets, _):
        return _table_pairs(datasets.load_dataset(name, configuration or None, split=source.split), source)


def _table_pairs(table: Any, source: SourceConfig) -> list[TextPair]:
    if "translation" in table.column_names and source.ko not in table.column_names:
        return [_pick({"translation": cell}, source, source.path) for cell in table["translation"]]
    _pick(dict.fromkeys(table.column_names), source, source.path)
    return list(zip(map(_text, table[source.ko]), map(_text, table[source.en]), strict=True))


@contextmanager
def _quiet_datasets(path: str, failure: str = "cannot be read") -> Iterator[tuple[ModuleType, str]]:
    """Yield the package datasets, silent meanwhile, and a temporary folder for its cache; its errors become ours."""
    try:
        import datasets
    except ImportError:
        raise TranslatorError('reading corpora needs the package datasets: pip install "translator[train]"') from None
    bars, verbosity = not datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        with tempfile.TemporaryDirectory() as cache:
            yield cast(ModuleType, datasets), cache
    except TranslatorError:
        raise
    except Exception as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise TranslatorError(f"{path}: {failure} ({reason or type(error).__name__})") from None
    finally:
        datasets.logging.set_verbosity(verbosity)
        if bars:
            datasets.enable_progress_bars()


READERS: dict[str, Callable[[SourceConfig], list[TextPair]]] = {
    "tsv": _read_tsv,
    "csv": _read_csv,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
    "aligned": _read_aligned,
    "hub": _read_hub,
}
