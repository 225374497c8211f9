"""`translator corpus`: look at parallel corpora, and write the pairs that a recipe trains on."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from translator.corpus.encode import Pair

LANGUAGES = {"ko": "Korean", "en": "English"}


@click.group()
def corpus() -> None:
    """Look at parallel corpora and prepare them for training.

    \b
    Example: translator corpus stats data/everyday/train.tsv
    """


@corpus.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list with one object a file.")
def stats(files: tuple[str, ...], as_json: bool) -> None:
    """Count pairs, lengths, languages, speech levels and duplicates of each FILE.

    A FILE is TSV, CSV, JSON lines, Parquet, or the common name of two aligned files NAME.ko and NAME.en.

    \b
    Example: translator corpus stats data/everyday/train.tsv data/everyday/test.tsv
    """
    from translator.corpus.load import read_test_set

    reports = [{"file": file, **statistics(read_test_set(file))} for file in files]
    if as_json:
        click.echo(json.dumps(reports, ensure_ascii=False, indent=2))
    else:
        click.echo("\n\n".join(_table(report) for report in reports))


@corpus.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="TSV to write.")
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a value of the recipe.")
def prepare(config: Path, output: Path, overrides: tuple[str, ...]) -> None:
    """Write the cleaned pairs a recipe trains on (Korean, English, weight), and print what each rule dropped.

    \b
    Example: translator corpus prepare configs/everyday.toml --output everyday.clean.tsv --set corpus.max_characters=200
    """
    from translator.config import load_config
    from translator.corpus.clean import RULES
    from translator.corpus.clean import prepare as prepare_pairs

    pairs, dropped = prepare_pairs(load_config(config, overrides).corpus)
    _write(output, pairs)
    rows = [("read", len(pairs) + dropped.total()), *((rule, dropped[rule]) for rule in RULES), ("kept", len(pairs))]
    click.echo("\n".join(f"{name:<13}{count:>10,}" for name, count in rows))


def statistics(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the numbers of `stats`: counts, shares in [0, 1], lengths in characters and in words between spaces."""
    from translator.corpus.clean import normalise
    from translator.text import detect_language, speech_level

    sides = {"ko": [ko for ko, _ in pairs], "en": [en for _, en in pairs]}
    return {
        "pairs": len(pairs),
        "duplicates": len(pairs) - len({(normalise(ko), normalise(en)) for ko, en in pairs}),
        **{
            side: {
                "characters": _lengths([len(text) for text in texts]),
                "tokens": _lengths([len(text.split()) for text in texts]),
                "detected": _shares([detect_language(text) or "none" for text in texts]),
            }
            for side, texts in sides.items()
        },
        "speech_levels": _shares([speech_level(ko) or "none" for ko in sides["ko"]]),
    }


def _lengths(lengths: list[int]) -> dict[str, float]:
    ordered = sorted(lengths) or [0]
    # Nearest rank: the smallest length that p per cent of the sentences do not exceed.
    percentiles = {f"p{p}": ordered[max(0, math.ceil(p / 100 * len(ordered)) - 1)] for p in (50, 95, 99)}
    return {"mean": round(sum(ordered) / len(ordered), 2), **percentiles, "max": ordered[-1]}


def _shares(labels: list[str]) -> dict[str, float]:
    return {label: round(count / len(labels), 4) for label, count in Counter(labels).most_common()}


def _table(report: dict[str, Any]) -> str:
    lines = [report["file"], f"  pairs {report['pairs']:,}   duplicates {report['duplicates']:,}"]
    lines.append(f"  {'':<20}{'mean':>8}{'p50':>7}{'p95':>7}{'p99':>7}{'max':>7}")
    for side, language in LANGUAGES.items():
        for unit in ("characters", "tokens"):
            of = report[side][unit]
            lines.append(
                f"  {language + ' ' + unit:<20}{of['mean']:>8.1f}" + "".join(f"{of[k]:>7,}" for k in list(of)[1:])
            )
    for side, language in LANGUAGES.items():
        lines.append(f"  {language + ' side is':<20}{_percentages(report[side]['detected'])}")
    lines.append(f"  {'speech levels':<20}{_percentages(report['speech_levels'])}")
    return "\n".join(lines)


def _percentages(shares: dict[str, float]) -> str:
    return "   ".join(f"{label} {share:.1%}" for label, share in shares.items()) or "-"


def _write(path: Path, pairs: Sequence[Pair]) -> None:
    """Write the pairs to a file beside `path`, then rename it: `path` is never half a file."""
    from translator.errors import TranslatorError

    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{ko}\t{en}\t{weight:g}\n" for ko, en, weight in pairs)
        partial.replace(path)
    except OSError as error:
        raise TranslatorError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        if partial.exists():
            partial.unlink()
