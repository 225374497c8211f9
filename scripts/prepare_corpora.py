"""Build a training mixture from a folder of parallel corpora.

    python scripts/prepare_corpora.py CORPORA --held-out EVAL --output runs/corpora

CORPORA holds NAME.tsv files (Korean TAB English) and a manifest.json that gives each a licence and a suggested weight;
data/everyday/train.tsv joins them with weight 1. The cleaned pairs go to OUTPUT/weight-W.tsv, one file for each weight,
which a recipe names as its sources; a report of every source and every filter goes to OUTPUT/report.json and, as a
table, to standard output. No sentence of the held-out files (or of data/everyday/{dev,test}.tsv) is let through.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path

import click

from translator.cli.errors import run
from translator.config import CorpusConfig, SourceConfig
from translator.corpus import clean_pairs, load_source, read_test_set
from translator.corpus.clean import RULES
from translator.corpus.encode import Pair
from translator.errors import TranslatorError

EVERYDAY = Path(__file__).parent.parent / "data" / "everyday"


def read_manifest(folder: Path) -> list[dict[str, object]]:
    """Return the entries of manifest.json, a list of {name, suggested_weight, licence, …}."""
    path = folder / "manifest.json"
    try:
        entries: list[dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TranslatorError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise TranslatorError(f"{path}: not valid JSON ({error})") from None
    return entries


def read_weights(path: Path) -> dict[str, float]:
    """Return NAME = WEIGHT lines of a TOML file."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TranslatorError(f"{path}: not valid TOML ({error})") from None
    for name, weight in table.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
            raise TranslatorError(f"{path}: {name} must be a weight of 0 or more, not {weight!r}")
    return {name: float(weight) for name, weight in table.items()}


@click.command()
@click.argument("corpora", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--held-out", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of test sets.")
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write.")
@click.option(
    "--weights",
    "weights_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML of NAME = WEIGHT lines that replace suggested weights; 0 leaves a corpus out.",
)
@click.option(
    "--max-characters", type=click.IntRange(1), default=250, show_default=True, help="Longer sides are dropped."
)
def main(corpora: Path, held_out: Path | None, output: Path, weights_file: Path | None, max_characters: int) -> None:
    """Build a training mixture from a folder of parallel corpora (see the head of this file)."""
    entries = read_manifest(corpora)
    weights = {str(entry["name"]): float(str(entry["suggested_weight"])) for entry in entries}
    for name, weight in read_weights(weights_file).items() if weights_file else ():
        if name not in weights:
            raise TranslatorError(f"{weights_file}: {name} is not in {corpora / 'manifest.json'}")
        weights[name] = weight
    sets = [EVERYDAY / "dev.tsv", EVERYDAY / "test.tsv", *(sorted(held_out.glob("*.tsv")) if held_out else ())]
    kept_away = [pair for path in sets for pair in read_test_set(path)]

    pairs = [Pair(ko, en) for ko, en in read_test_set(EVERYDAY / "train.tsv")]
    for name, weight in weights.items():
        if weight:
            source = SourceConfig(str(corpora / f"{name}.tsv"), weight=weight)
            pairs += [Pair(ko, en, weight) for ko, en in load_source(source)]
    # All sources in one go: a pair that two of them have is kept once, from the first.
    settings = CorpusConfig(sources=(SourceConfig(str(corpora)),), max_characters=max_characters)
    kept, dropped = clean_pairs(pairs, settings, kept_away)

    output.mkdir(parents=True, exist_ok=True)
    for stale in output.glob("weight-*.tsv"):
        stale.unlink()
    counts = Counter(pair.weight for pair in kept)
    for weight in sorted(counts, reverse=True):
        lines = (f"{pair.ko}\t{pair.en}\n" for pair in kept if pair.weight == weight)
        (output / f"weight-{weight:g}.tsv").write_text("".join(lines), encoding="utf-8")
    report = {
        "read": len(pairs),
        "dropped": {rule: dropped[rule] for rule in RULES},
        "kept": len(kept),
        "kept_by_weight": {f"{weight:g}": count for weight, count in sorted(counts.items(), reverse=True)},
        "held_out": [path.name for path in sets],
        "sources": [
            {**{k: e.get(k) for k in ("name", "licence", "pairs")}, "weight": weights[str(e["name"])]} for e in entries
        ],
    }
    (output / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    rows = [("read", len(pairs)), *((rule, dropped[rule]) for rule in RULES), ("kept", len(kept))]
    click.echo("\n".join(f"{label:<13}{count:>10,}" for label, count in rows))


if __name__ == "__main__":
    run(main)
