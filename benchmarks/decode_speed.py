"""Speed of the `translate` command as a user meets it: `python benchmarks/decode_speed.py`.

Runs the command itself: one sentence from a cold start, and a file of 1,000 everyday sentences in each direction.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def run(arguments: list[str]) -> float:
    """Run `translate` and return its seconds."""
    start = time.perf_counter()
    subprocess.run(
        [str(Path(sys.executable).with_name("translate")), *arguments], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--corpus", type=Path, default=Path("data/everyday/train.tsv"), help="where sentences come from"
    )
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--model", default="")
    options = parser.parse_args()
    model = ["--model", options.model] if options.model else []
    rows = [line.split("\t")[:2] for line in options.corpus.read_text(encoding="utf-8").splitlines()]
    rows = rows[:: max(len(rows) // options.sentences, 1)][: options.sentences]
    cold = min(run([*model, "오늘 날씨가 정말 좋네요."]) for _ in range(3))
    print(f"one sentence, cold start   {cold:.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        for side, language in enumerate(("ko", "en")):
            path = Path(folder) / f"{language}.txt"
            path.write_text("".join(row[side] + "\n" for row in rows), encoding="utf-8")
            seconds = run([*model, "-i", str(path), "--beam", str(options.beam), "-o", str(path) + ".out"])
            print(
                f"{len(rows)} sentences from {language}, beam {options.beam}   {seconds:.1f} s with the start, "
                f"{len(rows) / (seconds - cold):.1f} a second after it"
            )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    print(f"peak memory                {peak:,.0f} MB")


if __name__ == "__main__":
    main()
