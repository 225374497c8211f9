"""`translate`: sentences, files and pipes."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import BinaryIO, NoReturn

import click

from translator.cli.errors import run
from translator.errors import TranslatorError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("text", nargs=-1)
@click.option("--from", "source", type=click.Choice(["ko", "en", "auto"]), default="auto", show_default=True)
@click.option(
    "--to", "target", type=click.Choice(["ko", "en"]), help="Language to translate into [default: the other]."
)
@click.option(
    "--style",
    type=click.Choice(["polite", "formal", "casual", "plain"]),
    help="Speech level of Korean output: 해요체 (default), 합쇼체, 해체, 해라체.",
)
@click.option("-i", "--input", "input_", type=click.Path(path_type=Path), help="Text file, translated line by line.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write; it appears when it is complete.")
@click.option("--model", metavar="NAME|FOLDER", help="Shipped model or checkpoint folder; see `translator models`.")
@click.option(
    "--beam", type=click.IntRange(1, 100), default=5, show_default=True, help="Beam size; 1 is greedy search."
)
@click.option("--alternatives", type=click.IntRange(0, 99), default=0, show_default=True, help="Further translations.")
@click.option("--format", "format_", type=click.Choice(["text", "json", "tsv"]), default="text", show_default=True)
@click.option("--align", is_flag=True, help="With --format json: the attention of each sentence.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Sentences decoded together.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads [default: one a core].")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar, no warnings.")
def translate(
    text: tuple[str, ...],
    source: str,
    target: str | None,
    style: str | None,
    input_: Path | None,
    output: Path | None,
    model: str | None,
    beam: int,
    alternatives: int,
    format_: str,
    align: bool,
    batch_size: int,
    threads: int | None,
    quiet: bool,
) -> None:
    """Translate Korean to English or English to Korean: TEXT, a file, or standard input, line by line.

    \b
    Examples: translate "오늘 날씨가 정말 좋네요."
              translate --to ko --style formal "See you tomorrow."
              translate -i talk.ko.txt -o talk.en.txt
              cat talk.ko.txt | translate --format json
    """
    input_, output = (None if path == Path("-") else path for path in (input_, output))
    if text and input_:
        raise click.UsageError("give TEXT or --input, not both")
    if align and format_ != "json":
        raise click.UsageError("--align needs --format json")
    from rich.console import Console
    from rich.progress import Progress

    from translator.lines import Output, parse_line, read_chunks, render, translate_chunk

    def warn(message: str) -> None:
        if not quiet:
            click.echo(f"warning: {message}", err=True)

    failed = False
    console = Console(stderr=True)
    with Output(output) as out:  # what cannot be opened is found out before the model is loaded
        if not text and not input_ and sys.stdin is not None and sys.stdin.isatty() and not quiet:
            click.echo("Type a line to translate it; Ctrl-D ends.", err=True)
        if text:
            chunks = iter([[parse_line(i, os.fsencode(t)) for i, t in enumerate(text, 1)]])
        else:
            chunks = read_chunks(_open(input_))
        import torch  # only now: it takes a second, and --help must not

        from translator.pipeline import Translator

        if threads:
            torch.set_num_threads(threads)
        translator = Translator.load(model)
        shown = not quiet and console.is_terminal and (output is not None or not sys.stdout.isatty()) and not text
        size = input_.stat().st_size if input_ and input_.is_file() else None
        with Progress(console=console, transient=True, disable=not shown) as progress:
            task = progress.add_task("translating", total=size)
            for chunk in chunks:
                results = translate_chunk(
                    translator,
                    chunk,
                    warn,
                    source=None if source == "auto" else source,
                    target=target,
                    style=style,
                    beam_size=beam,
                    alternatives=alternatives,
                    batch_size=batch_size,
                    align=align,
                )
                for line, result in zip(chunk, results, strict=True):
                    failed |= result is None
                    out.write(render(line, result, format_, align))
                out.flush()
                progress.advance(task, sum(line.size for line in chunk))
    if failed:
        raise SystemExit(1)


def _open(path: Path | None) -> BinaryIO:
    """Open what is read; it is never closed, since that would wait for a thread that waits for a slow pipe."""
    if path is None and sys.stdin is None:
        raise TranslatorError("standard input is closed; give TEXT or --input FILE")
    try:
        if path is not None:
            return path.open("rb")
        try:
            # Not sys.stdin.buffer: Python aborts if a thread still reads from it at the end.
            return open(sys.stdin.fileno(), "rb", closefd=False)
        except io.UnsupportedOperation:  # a stand-in without a descriptor
            return sys.stdin.buffer
    except OSError as error:
        raise TranslatorError(f"{path}: cannot be read ({error.strerror})") from None


def main() -> NoReturn:
    """Run `translate`."""
    run(translate)
