"""How every command ends: one line on stderr for what a user can cause, and the right exit code."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from translator.errors import TranslatorError


def run(command: click.Command) -> NoReturn:
    """Run a command and exit: 0 done, 1 some input failed, 2 a mistake of the user's, 130 interrupted."""
    try:
        code = command.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        _complain(error.format_message())
        code = 2
    except TranslatorError as error:
        _complain(str(error))
        code = 2
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted")
        code = 130
    except BrokenPipeError:  # the reader (`| head`) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        _complain(f"{error.filename or 'output'}: {error.strerror or error}")
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> None:
    print("error: " + " ".join(message.split()), file=sys.stderr)
