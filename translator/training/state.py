"""The training state on disk: one file, written atomically, never unpickled as code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from translator.errors import TranslatorError

STATE = "state.pt"


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists and dicts) so that the file is always whole.

    Raises TranslatorError if the disk refuses; the last state is then intact.
    """
    partial = folder / (STATE + ".new")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / STATE)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as a RuntimeError
        partial.unlink(missing_ok=True)
        reason = str(error).partition("\n")[0]
        raise TranslatorError(
            f"{folder / STATE}: could not be written, is the disk full? ({reason}); the last state is intact"
        ) from None


def load_state(folder: Path) -> dict[str, Any]:
    """Read the state of a run; raise TranslatorError if there is none or it is damaged."""
    path = folder / STATE
    if not path.is_file():
        raise TranslatorError(f"{folder}: nothing to resume, there is no {STATE}; train without --resume first")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise TranslatorError(f"{path}: damaged training state ({str(error).partition(chr(10))[0]})") from None
    return state
