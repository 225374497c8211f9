"""`translator train`: learn a model from a recipe."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a value of the recipe.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Run folder [default: runs/RECIPE].")
@click.option("--resume", is_flag=True, help="Continue the run in the output folder exactly where it stopped.")
@click.option(
    "--max-minutes", type=click.FloatRange(0, min_open=True), help="Stop this session after so long; resumable."
)
@click.option("--threads", type=click.IntRange(1), help="CPU threads [default: one a core].")
def train(
    config: Path,
    overrides: tuple[str, ...],
    output: Path | None,
    resume: bool,
    max_minutes: float | None,
    threads: int | None,
) -> None:
    """Train a model from a recipe (TOML); best/ in the output folder is then a model for `translate --model`.

    \b
    Example: translator train configs/everyday.toml --output runs/everyday --max-minutes 60
    Several processes: torchrun --nproc-per-node 2 -m translator train configs/everyday.toml
    """
    # Before torch is imported: threads that wait by spinning slow everything beside them, this process included.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    import torch

    from translator.config import load_config
    from translator.training.run import train_recipe

    if threads:
        torch.set_num_threads(threads)
    train_recipe(load_config(config, overrides), output or Path("runs") / config.stem, resume, max_minutes or 0.0)
