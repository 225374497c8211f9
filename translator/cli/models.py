"""`translator models`: the models at hand."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False))
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def models(folders: tuple[str, ...], format_: str) -> None:
    """List the shipped models (and those in FOLDERS): languages, size, scores, where they lie.

    \b
    Example: translator models --format json
    """
    from pathlib import Path

    from translator.checkpoint import read_info, shipped_models

    rows = []
    for name, path in [*shipped_models().items(), *((Path(folder).name, Path(folder)) for folder in folders)]:
        info = read_info(path)
        size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
        scores = info.training.get("scores") or info.training.get("dev_scores_greedy", {})
        rows.append(
            {
                "name": name,
                "directions": list(info.directions),
                "megabytes": round(size / 1e6, 1),
                "scores": scores,
                "folder": str(path),
            }
        )
    if format_ == "json":
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        click.echo(f"{row['name']}  {', '.join(row['directions'])}  {row['megabytes']} MB  {row['folder']}")
        for name, value in row["scores"].items():
            click.echo(f"    {name} {value}")
    if not rows:
        click.echo("no models at hand: train one with `translator train configs/everyday.toml`", err=True)
