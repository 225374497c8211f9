"""The command line: `translate`, and `translator` for everything else. One file a command, no logic of its own."""

from __future__ import annotations

from typing import NoReturn

import click

from translator import __version__
from translator.cli.corpus import corpus
from translator.cli.errors import run
from translator.cli.evaluate import evaluate
from translator.cli.models import models
from translator.cli.tokenizer import tokenizer
from translator.cli.train import train
from translator.cli.translate import translate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def group() -> None:
    """Korean-English translation: translate, train, evaluate.

    \b
    Example: translator translate "오늘 날씨가 정말 좋네요."
    """


for _command in (translate, train, evaluate, models, tokenizer, corpus):
    group.add_command(_command)


def main() -> NoReturn:
    """Run `translator`."""
    run(group)
