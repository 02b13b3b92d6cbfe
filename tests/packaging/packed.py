"""The project packed as it would be published."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Any instant: the same one gives the same bytes.
EPOCH = "1700000000"


def packed(kind: str, folder: Path, root: Path = ROOT) -> Path:
    """The `wheel` or `sdist` of the sources in `root`, built into `folder`."""
    done = hatchling(root, kind, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.iterdir()
    return made


def hatchling(root: Path, kind: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The build as a process of its own, whatever becomes of it."""
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)],
        cwd=root,
        env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
