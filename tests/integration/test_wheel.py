"""The model travels in the wheel: what `pip install` unpacks translates without the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_wheel_translates_on_its_own(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert wheel.stat().st_size < 100e6
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    assert (site / "translator" / "py.typed").exists()
    run = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            "import translator; print(translator.__file__, translator.translate('안녕하세요.'))",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        check=True,
        capture_output=True,
        text=True,
    )
    path, _, text = run.stdout.strip().partition(" ")
    assert Path(path).is_relative_to(site)
    assert text
    assert not any("가" <= character <= "힣" for character in text)
