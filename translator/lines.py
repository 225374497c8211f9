"""Files and pipes: lines in as they come, one line out for each, in order, with bounded memory."""

from __future__ import annotations

import json
import os
import queue
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Unpack

from translator.errors import TranslatorError

if TYPE_CHECKING:
    from translator.pipeline import Options, Translation, Translator

CHUNK_LINES = 256  # translated together at most: enough to sort by length, little to hold
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Line:
    """One line of input."""

    number: int  # from 1
    text: str  # without its line break
    size: int  # bytes in the file, the line break included
    ending: str = "\n"
    valid: bool = True  # False: was not UTF-8, what could not be read is U+FFFD


def read_chunks(file: BinaryIO) -> Iterator[list[Line]]:
    """Yield the lines that are at hand, up to CHUNK_LINES: a slow pipe is answered at once, a file in big chunks."""
    waiting: queue.Queue[bytes | OSError | None] = queue.Queue(maxsize=2 * CHUNK_LINES)

    def read() -> None:
        try:
            for raw in file:
                waiting.put(raw)
            waiting.put(None)
        except OSError as error:
            waiting.put(error)

    threading.Thread(target=read, daemon=True).start()
    number, more = 0, True
    while more:
        chunk: list[Line] = []
        size = 0
        while more and len(chunk) < CHUNK_LINES and size < CHUNK_BYTES:
            try:
                raw = waiting.get(block=not chunk)
            except queue.Empty:
                break
            if isinstance(raw, OSError):
                raise raw
            if raw is None:
                more = False
            else:
                number, size = number + 1, size + len(raw)
                chunk.append(parse_line(number, raw))
        if chunk:
            yield chunk


def parse_line(number: int, raw: bytes) -> Line:
    """Decode one line; what is not UTF-8 becomes U+FFFD."""
    ending = "\r\n" if raw.endswith(b"\r\n") else "\n"
    body = raw.removesuffix(b"\n").removesuffix(b"\r") if ending == "\r\n" else raw.removesuffix(b"\n")
    try:
        return Line(number, body.decode("utf-8"), len(raw), ending)
    except UnicodeDecodeError:
        return Line(number, body.decode("utf-8", errors="replace"), len(raw), ending, valid=False)


def translate_chunk(
    translator: Translator, chunk: list[Line], warn: Callable[[str], None], **options: Unpack[Options]
) -> list[Translation | None]:
    """Translate a chunk; a line that fails is None and named by `warn`, the others are not lost with it.

    Raises TranslatorError for what is wrong with the options rather than with a line.
    """
    for line in chunk:
        if not line.valid:
            warn(f"line {line.number}: not valid UTF-8, what could not be read was replaced by U+FFFD")
    return _translate(translator, chunk, warn, options)


def _translate(
    translator: Translator, chunk: list[Line], warn: Callable[[str], None], options: Options
) -> list[Translation | None]:
    try:
        return list(translator.translate([line.text for line in chunk], **options))
    except TranslatorError:
        raise
    except Exception as error:  # whatever one line provoked must not cost the others
        if len(chunk) > 1:
            return [result for line in chunk for result in _translate(translator, [line], warn, options)]
        warn(f"line {chunk[0].number}: left empty, translation failed ({type(error).__name__}: {error})")
        return [None]


def render(line: Line, result: Translation | None, format_: str, align: bool = False) -> str:
    """Return the output line, line break included.

    text: the translation, alternatives after tabs; tsv: source, translation, score, alternatives; json: an object.
    """
    if format_ == "json":
        return json.dumps(_record(line, result, align), ensure_ascii=False) + "\n"
    texts = [result.text, *(a.text for a in result.alternatives)] if result else [""]
    if format_ == "tsv":
        score = "" if result is None or result.score is None else f"{result.score:.4f}"
        return "\t".join(" ".join(cell.split()) for cell in (line.text, texts[0], score, *texts[1:])) + "\n"
    if len(texts) > 1:
        texts = [" ".join(text.split()) for text in texts]
    return "\t".join(texts) + line.ending


def _record(line: Line, result: Translation | None, align: bool) -> dict[str, object]:
    record: dict[str, object] = {"source": line.text, "translation": result.text if result else ""}
    if result is None:
        return {**record, "error": True}
    record |= {
        "score": None if result.score is None else round(result.score, 4),
        "language_pair": f"{result.source}-{result.target}" if result.source and result.target else None,
        "alternatives": [{"translation": a.text, "score": round(a.score, 4)} for a in result.alternatives],
        "tokens": list(result.tokens),
    }
    if align:
        record["attention"] = [asdict(alignment) for alignment in result.alignment]
    return record


class Output:
    """Standard output, or a file that appears under its name only when it is complete."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._partial: Path | None = None
        self._file: BinaryIO

    def __enter__(self) -> Output:
        if self.path is None:
            if sys.stdout is None:
                raise TranslatorError("standard output is closed; give --output FILE")
            self._file = sys.stdout.buffer
            return self
        try:
            if self.path.exists() and not self.path.is_file():  # a device or named pipe cannot be replaced
                self._file = self.path.open("wb")
            else:
                self.path = self.path.resolve()  # what a link points to is replaced, not the link
                self._partial = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
                self._file = self._partial.open("wb")
        except OSError as error:
            raise TranslatorError(f"{self.path}: cannot be written ({error.strerror})") from None
        return self

    def write(self, text: str) -> None:
        """Write text that ends with its line break, as UTF-8."""
        self._file.write(text.encode("utf-8", errors="replace"))

    def flush(self) -> None:
        """Let a pipe see what is there."""
        self._file.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.path is None:
            return
        try:
            self._file.close()
            if self._partial is not None and kind is None:
                if self.path.exists():
                    shutil.copymode(self.path, self._partial)
                self._partial.replace(self.path)
        finally:
            if self._partial is not None:  # not there any more if it has become the output
                self._partial.unlink(missing_ok=True)
