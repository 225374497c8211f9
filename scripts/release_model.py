"""Turn the best checkpoint of a run into a model that ships, with a model card whose figures are measured here.

    python scripts/release_model.py runs/everyday/best --output checkpoints/everyday --notes NOTES.md \
        --machine "2 cores, AMD EPYC" --test-set everyday-test=data/everyday/test.tsv

Every test set is translated greedily and with a beam of 5; 30 unselected outputs (the first 15 of the first set in each
direction) go into the card, followed by NOTES.md: data, licences, limits, in somebody's own words.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import click

from translator.checkpoint import CARD, CONFIG, TOKENIZER, WEIGHTS, CheckpointInfo, read_info, replace_folder
from translator.cli.errors import run
from translator.config import LANGUAGES_OF
from translator.corpus import read_test_set
from translator.errors import TranslatorError
from translator.evaluation.evaluate import Evaluation, evaluate
from translator.model import count_parameters
from translator.pipeline import Translator

BEAMS = (1, 5)
EXAMPLES = 15


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write.")
@click.option("--test-set", "test_sets", multiple=True, required=True, metavar="NAME=FILE")
@click.option("--notes", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Markdown.")
@click.option("--machine", required=True, help="What it was trained on, in words.")
def main(checkpoint: Path, output: Path, test_sets: tuple[str, ...], notes: Path, machine: str) -> None:
    """Measure CHECKPOINT and write it with its model card to a folder (see the head of this file)."""
    sets = {}
    for entry in test_sets:
        name, equals, path = entry.partition("=")
        if not equals:
            raise TranslatorError(f"--test-set {entry}: write NAME=FILE")
        sets[name] = read_test_set(path)
    translator = Translator.load(checkpoint)
    info = read_info(checkpoint)
    results: dict[tuple[str, int], list[Evaluation]] = {}
    for name, pairs in sets.items():
        for beam in BEAMS:
            results[name, beam] = [evaluate(translator, pairs, d, beam) for d in info.directions]
            click.echo(f"{name}, beam {beam}: " + ", ".join(map(_line, results[name, beam])), err=True)
    scores = {
        f"{name} {r.direction} {metric.name}": round(metric.value, 2)
        for (name, beam), evaluations in results.items()
        if beam == max(BEAMS)
        for r in evaluations
        for metric in r.scores
    }
    info = replace(info, training={**info.training, "scores": scores})
    weights = count_parameters(translator._checkpoint(info.directions[0]).model)
    fresh = output.with_name(output.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for file in (WEIGHTS, TOKENIZER):
        shutil.copy(checkpoint / file, fresh / file)
    (fresh / CONFIG).write_text(json.dumps(asdict(info), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    card = _card(output.name, info, weights, machine, sets, results) + "\n" + notes.read_text(encoding="utf-8")
    (fresh / CARD).write_text(card, encoding="utf-8")
    replace_folder(fresh, output)


def _line(result: Evaluation) -> str:
    return f"{result.direction} " + " ".join(f"{metric.name} {metric.value:.1f}" for metric in result.scores)


def _card(
    name: str,
    info: CheckpointInfo,
    weights: int,
    machine: str,
    sets: dict[str, list[tuple[str, str]]],
    results: dict[tuple[str, int], list[Evaluation]],
) -> str:
    m, t = info.model, info.training
    lines = [
        f"# Model card: {name}",
        "",
        f"Directions: {', '.join(info.directions)}. {weights / 1e6:.1f} million weights, stored as fp16.",
        "",
        f"Architecture: {m.encoder_layers} {'bidirectional ' * m.bidirectional}{m.cell.upper()} encoder layers and "
        f"{m.decoder_layers} {m.cell.upper()} decoder layers of {m.hidden_size}, {m.attention} attention, embeddings "
        f"of {m.embedding_size}{' shared by encoder, decoder and output' * m.tie_embeddings}, {info.vocab_size:,} "
        f"SentencePiece pieces.",
        "",
        f"Training: {t['steps']:,} steps, {t['target_tokens'] / 1e6:.1f} million target pieces, {t['minutes']} minutes "
        f"on {machine}.",
        "",
        "## Scores",
        "",
        "| test set | sentences | direction | BLEU greedy | BLEU beam 5 | chrF2 greedy | chrF2 beam 5 |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    signatures: set[str] = set()
    for set_name, pairs in sets.items():
        for greedy, beam in zip(results[set_name, 1], results[set_name, 5], strict=True):
            cells = [f"{s.value:.1f}" for pair in zip(greedy.scores, beam.scores, strict=True) for s in pair]
            lines.append(f"| {set_name} | {len(pairs):,} | {greedy.direction} | {' | '.join(cells)} |")
            _, target = LANGUAGES_OF[greedy.direction]
            signatures |= {f"- {metric.name} into {target}: `{metric.signature}`" for metric in beam.scores}
    lines += [
        "",
        "BLEU is cased, detokenized: tokenizer 13a for English, single characters for Korean, where chrF2 says more.",
        "Korean output is asked for in the default speech level, whatever the reference has.",
        "",
        *sorted(signatures),
        "",
        "## Unselected examples",
        "",
        f"The first {EXAMPLES} sentences of {next(iter(sets))}, beam 5.",
        "",
        "| source | reference | output |",
        "| --- | --- | --- |",
    ]
    first, pairs = next(iter(sets.items()))
    for result in results[first, 5]:
        for (ko, en), text in zip(pairs[:EXAMPLES], result.outputs, strict=False):
            source, reference = (ko, en) if result.direction == "ko-en" else (en, ko)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in (source, reference, text)) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run(main)
