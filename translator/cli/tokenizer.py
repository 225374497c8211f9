"""`translator tokenizer`: train, encode, decode."""

from __future__ import annotations

import sys
from pathlib import Path

import click

_MODEL = click.option(
    "--model", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A tokenizer.model file."
)


@click.group()
def tokenizer() -> None:
    """Train a SentencePiece vocabulary, and use it on lines of text.

    \b
    Example: echo "안녕하세요" | translator tokenizer encode --model checkpoints/everyday/tokenizer.model
    """


@tokenizer.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="tokenizer.model to write."
)
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a value of the recipe.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
def train(config: Path, output: Path, overrides: tuple[str, ...], threads: int) -> None:
    """Learn the joint vocabulary of a recipe's corpus.

    \b
    Example: translator tokenizer train configs/everyday.toml --output tokenizer.model
    """
    from translator.config import load_config
    from translator.corpus import prepare
    from translator.tokenizer import Tokenizer

    recipe = load_config(config, overrides)
    pairs, _ = prepare(recipe.corpus)
    learned = Tokenizer.train((side for pair in pairs for side in (pair.ko, pair.en)), recipe.tokenizer, threads)
    output.parent.mkdir(parents=True, exist_ok=True)
    learned.save(output)
    click.echo(f"{output}: {learned.vocab_size} pieces from {len(pairs)} pairs", err=True)


@tokenizer.command()
@_MODEL
@click.option("--ids", is_flag=True, help="Print numbers instead of pieces.")
def encode(model: Path, ids: bool) -> None:
    """Split the lines of standard input into pieces.

    \b
    Example: echo "안녕하세요" | translator tokenizer encode --model checkpoints/everyday/tokenizer.model
    """
    from translator.tokenizer import Tokenizer

    loaded = Tokenizer.load(model)
    for raw in sys.stdin.buffer:
        encoded = loaded.encode(raw.decode("utf-8", errors="replace").rstrip("\r\n"))
        click.echo(" ".join(map(str, encoded) if ids else loaded.pieces(encoded)))


@tokenizer.command()
@_MODEL
def decode(model: Path) -> None:
    """Turn lines of piece numbers (of `encode --ids`) back into text.

    \b
    Example: echo "안녕하세요" | translator tokenizer encode --ids --model checkpoints/everyday/tokenizer.model |
             translator tokenizer decode --model checkpoints/everyday/tokenizer.model
    """
    from translator.errors import TranslatorError
    from translator.tokenizer import Tokenizer

    loaded = Tokenizer.load(model)
    for number, raw in enumerate(sys.stdin.buffer, 1):
        words = raw.decode("utf-8", errors="replace").split()
        if not all(word.isdecimal() and int(word) < loaded.vocab_size for word in words):
            raise TranslatorError(
                f"line {number}: give piece numbers below {loaded.vocab_size}, as `encode --ids` does"
            )
        click.echo(loaded.decode([int(word) for word in words]))
