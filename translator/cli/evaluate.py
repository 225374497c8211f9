"""`translator evaluate`: a test set and a model in, scores out."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.option(
    "--test-set",
    "test_sets",
    required=True,
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Korean and English, line by line: TSV, CSV, JSONL, …",
)
@click.option("--model", help="Shipped model or checkpoint folder [default: the shipped ones].")
@click.option("--from", "source", type=click.Choice(["ko", "en"]), help="Source language [default: every direction].")
@click.option("--beam", type=click.IntRange(1, 100), default=5, show_default=True, help="1 is greedy search.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads [default: one a core].")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def evaluate(
    test_sets: tuple[Path, ...],
    model: str | None,
    source: str | None,
    beam: int,
    batch_size: int,
    threads: int | None,
    format_: str,
) -> None:
    """Translate test sets and print sacreBLEU's BLEU and chrF with their signatures.

    \b
    Example: translator evaluate --test-set data/everyday/dev.tsv --from ko
    """
    import torch

    from translator.corpus import read_test_set
    from translator.errors import TranslatorError
    from translator.evaluation.evaluate import evaluate as run
    from translator.pipeline import Translator

    if threads:
        torch.set_num_threads(threads)
    translator = Translator.load(model)
    directions = [d for d in translator.directions if source is None or d.startswith(source)]
    if not directions:
        raise TranslatorError(f"--from {source}: this model knows {', '.join(translator.directions)} only")
    rows = []
    for path in test_sets:
        pairs = read_test_set(path)
        if not pairs:
            raise TranslatorError(f"{path}: no sentence pairs in it")
        for direction in directions:
            result = run(translator, pairs, direction, beam, batch_size)
            speed = result.sentences / result.seconds if result.seconds else 0.0
            if format_ == "text":
                for metric in result.scores:
                    click.echo(f"{path}  {direction}  {metric.name} {metric.value:.2f}  {metric.signature}")
                click.echo(f"{path}  {direction}  {result.sentences} sentences, {speed:.1f} a second")
            rows.append(
                {
                    "test_set": str(path),
                    "direction": direction,
                    "sentences": result.sentences,
                    "scores": {m.name: {"score": m.value, "signature": m.signature} for m in result.scores},
                    "beam_size": beam,
                    "sentences_per_second": round(speed, 1),
                }
            )
    if format_ == "json":
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
