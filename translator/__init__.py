"""Korean-English translation, offline, on an ordinary CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from translator.pipeline import Translation, Translator, translate

__version__ = "0.1.0"
__all__ = ["Translation", "Translator", "__version__", "translate"]


def __getattr__(name: str) -> Any:
    # torch is imported with the first translation, not with the package: `--help` stays quick.
    if name in ("Translation", "Translator", "translate"):
        from translator import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
