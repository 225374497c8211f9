"""The scripts, run as commands on small data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def write(path: Path, pairs: list[tuple[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{ko}\t{en}\n" for ko, en in pairs), encoding="utf-8")


def test_a_mixture_has_a_file_for_each_weight_and_nothing_held_out(tmp_path: Path) -> None:
    corpora, held_out, output = tmp_path / "corpora", tmp_path / "eval", tmp_path / "out"
    secret = ("비밀로 남겨 둔 시험 문장입니다.", "This test sentence was kept aside.")
    write(corpora / "talk.tsv", [("새로 쓴 첫 번째 문장이에요.", "The first sentence, newly written."), secret])
    write(corpora / "manual.tsv", [("단추를 누르면 창이 닫힌다.", "Press the button to close the window.")])
    write(held_out / "news-test.tsv", [secret])
    manifest = [
        {"name": "talk", "pairs": 2, "suggested_weight": 2, "licence": "CC0"},
        {"name": "manual", "pairs": 1, "suggested_weight": 0.3, "licence": "MIT"},
    ]
    (corpora / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    weights = tmp_path / "weights.toml"
    weights.write_text("manual = 0.1\n", encoding="utf-8")
    result = run("prepare_corpora.py", corpora, "--held-out", held_out, "--output", output, "--weights", weights)
    assert result.returncode == 0, result.stderr
    assert (output / "weight-2.tsv").read_text(encoding="utf-8").startswith("새로 쓴")
    assert len((output / "weight-2.tsv").read_text(encoding="utf-8").splitlines()) == 1
    assert "단추를" in (output / "weight-0.1.tsv").read_text(encoding="utf-8")
    everyday = (output / "weight-1.tsv").read_text(encoding="utf-8").splitlines()
    tests = {line.split("\t")[0] for line in (ROOT / "data/everyday/test.tsv").read_text(encoding="utf-8").splitlines()}
    assert len(everyday) > 50_000
    assert not tests & {line.split("\t")[0] for line in everyday}
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    assert report["dropped"]["held out"] == 1
    assert report["read"] == report["kept"] + sum(report["dropped"].values())


def test_an_unknown_corpus_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("[]", encoding="utf-8")
    (tmp_path / "w.toml").write_text("nowhere = 1\n", encoding="utf-8")
    result = run("prepare_corpora.py", tmp_path, "--output", tmp_path / "out", "--weights", tmp_path / "w.toml")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "nowhere" in result.stderr
    assert not (tmp_path / "out").exists()
