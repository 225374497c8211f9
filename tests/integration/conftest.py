"""A small model trained by the real command, and two ways to run commands: as a process, and in this one."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from translator.cli import group
from translator.cli.errors import run as run_command
from translator.cli.translate import translate as translate_command
from translator.pipeline import Translator

DATA = Path(__file__).parent.parent.parent / "data" / "everyday"
SCRIPTS = Path(sys.executable).parent  # not resolved: a virtual environment's python is a link
# Threads that wait by spinning slow everything beside them.
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": "1"}

RECIPE = """
[corpus]
dev = "{folder}/dev.tsv"
[[corpus.sources]]
path = "{folder}/train.tsv"
[tokenizer]
vocab_size = 1500
character_coverage = 0.98
[model]
embedding_size = 64
hidden_size = 64
encoder_layers = 1
decoder_layers = 1
dropout = 0.1
[training]
batch_tokens = 400
max_steps = 150
validate_steps = 1000
validate_sentences = 5
learning_rate = 0.01
ema_decay = 0.95
precision = "fp32"
device = "cpu"
"""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        """What was printed, by the line feeds alone: `splitlines` would also split at U+2028."""
        text = self.out.decode("utf-8")
        assert not text or text.endswith("\n")
        return text.split("\n")[:-1]


Command = Callable[..., Result]


def start_process(name: str, *arguments: object, **options: object) -> subprocess.Popen[bytes]:
    """Start `translate` or `translator` as a user would."""
    command = [str(SCRIPTS / name), *map(str, arguments)]
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, env=ENVIRONMENT, **options)  # type: ignore[call-overload,no-any-return]


def run_process(name: str, *arguments: object, input: bytes = b"", **options: object) -> Result:
    """Run `translate` or `translator` as a process of its own."""
    with start_process(name, *arguments, **options) as process:
        out, err = process.communicate(input, timeout=120)
    return Result(process.returncode, out, err.decode("utf-8"))


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.Popen[bytes]]:
    """`start_process`, where tests can reach it."""
    return start_process


@pytest.fixture(scope="session")
def execute() -> Command:
    """`run_process`, where tests can reach it."""
    return run_process


@pytest.fixture(scope="session")
def shell() -> Callable[[str], Result]:
    """Run a line of bash that finds `translate` and `translator`."""

    def run(line: str) -> Result:
        environment = ENVIRONMENT | {"PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"}
        result = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, timeout=120)
        return Result(result.returncode, result.stdout, result.stderr.decode("utf-8"))

    return run


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Run a command in this process, which saves it the import of torch; everything else is as in a process."""
    before = signal.getsignal(signal.SIGTERM)

    def call(name: str, *arguments: object, input: bytes = b"") -> Result:
        streams = [io.TextIOWrapper(io.BytesIO(content), encoding="utf-8") for content in (input, b"", b"")]
        which: click.Command = translate_command if name == "translate" else group
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [name, *map(str, arguments)])
            for stream, replacement in zip(("stdin", "stdout", "stderr"), streams, strict=True):
                patch.setattr(sys, stream, replacement)
            with pytest.raises(SystemExit) as end:
                run_command(which)
            for stream in streams[1:]:
                stream.flush()
        out, err = (stream.buffer.getvalue() for stream in streams[1:])  # type: ignore[attr-defined]
        return Result(end.value.code, out, err.decode("utf-8"))  # type: ignore[arg-type]

    yield call
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe of some seconds on 1,500 pairs of our own corpus."""
    folder = tmp_path_factory.mktemp("recipe")
    pairs = (DATA / "train.tsv").read_text(encoding="utf-8").split("\n")[:3000]
    short = [pair for pair in pairs if len(pair.split("\t")[0]) < 40][:1500]
    (folder / "train.tsv").write_text("\n".join(short) + "\n", encoding="utf-8")
    dev = (DATA / "dev.tsv").read_text(encoding="utf-8").split("\n")[:60]
    (folder / "dev.tsv").write_text("\n".join(dev) + "\n", encoding="utf-8")
    path = folder / "tiny.toml"
    path.write_text(RECIPE.format(folder=folder.as_posix()), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def dev(recipe: Path) -> list[tuple[str, str]]:
    """60 pairs that the small model was not trained on."""
    lines = recipe.with_name("dev.tsv").read_text(encoding="utf-8").split("\n")[:-1]
    return [(ko, en) for ko, en, _ in (line.split("\t") for line in lines)]


@pytest.fixture(scope="session")
def trained(recipe: Path) -> Path:
    """The run folder of the recipe, never interrupted."""
    folder = recipe.with_name("run")
    result = run_process("translator", "train", recipe, "--output", folder, "--threads", 1)
    assert result.code == 0, result.err
    return folder


@pytest.fixture(scope="session")
def model(trained: Path) -> Path:
    """The checkpoint folder of a small model: its translations are poor, but it has learned which pieces exist."""
    return trained / "last"


@pytest.fixture(scope="session")
def translator(model: Path) -> Translator:
    """The small model, loaded."""
    return Translator.load(model)


@pytest.fixture(scope="session")
def shipped() -> Translator:
    """What `translate` uses by default."""
    return Translator.load()
