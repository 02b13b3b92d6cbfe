"""The trainer's wheel: a real wheel, the same bytes each time."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from cxr.cloud.trainer.wheel import WHEEL_NAME, build_wheel


def test_the_wheel_has_the_same_bytes_each_time() -> None:
    assert build_wheel() == build_wheel()


def test_pip_installs_it_and_the_trainer_starts_from_it(tmp_path: Path) -> None:
    wheel = tmp_path / WHEEL_NAME
    wheel.write_bytes(build_wheel())
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    shown = subprocess.run(
        [sys.executable, "-c", "import cxr; print(cxr.__file__)"],
        env={"PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(shown.stdout.strip()).is_relative_to(site)


def test_the_record_lists_every_member() -> None:
    archive = zipfile.ZipFile(io.BytesIO(build_wheel()))
    record = next(name for name in archive.namelist() if name.endswith("RECORD"))
    listed = {line.split(",")[0] for line in archive.read(record).decode().splitlines()}
    assert listed == set(archive.namelist())
    assert "cxr/local_baseline/trainer.py" in listed
