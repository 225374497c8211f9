"""How every command ends: one line on stderr for what a user can cause, and the right exit code."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import click

from translator.errors import TranslatorError


def run(command: click.Command) -> NoReturn:
    """Run a command and exit: 0 done, 1 some input failed, 2 a mistake of the user's, 130 interrupted."""
    stdout = sys.stdout
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an end that tidies up, as Ctrl-C has
    try:
        code = command.main(standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except SystemExit as error:  # click ends with 1 on a closed pipe (`| head`), and wraps stdout: that is no failure
        code = error.code if sys.stdout is stdout else 0
    except click.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command, from click 8.2 on
            error.show()
        else:
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
