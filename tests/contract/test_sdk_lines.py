"""The other line of Google's SDK, in an environment of its own: the same contract, the same emulator."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from cxr.cloud.emulator import process

ROOT = Path(__file__).parents[2]
LOCK = Path(__file__).with_name("requirements-sdk-1.lock")
TINY_STAND_IN = ROOT / "tests" / "cloud" / "emulator" / "tiny_stand_in.py"
#: Kept between runs; made anew when the lock has changed.
PLACE = ROOT / ".venv-sdk-1"


def _python() -> Path:
    """The interpreter of an environment with what the lock says."""
    python, stamp = PLACE / "bin" / "python", PLACE / ".lock"
    if not (stamp.is_file() and stamp.read_text() == LOCK.read_text()):
        venv.create(PLACE, clear=True, with_pip=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*install, "--requirement", LOCK], check=True, timeout=900)
        stamp.write_text(LOCK.read_text())
    return python


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_contract_holds_for_the_first_line_of_the_sdk(tmp_path: Path) -> None:
    python = _python()
    version = [python, "-c", "from google.cloud.aiplatform import version; print(version.__version__)"]
    assert subprocess.run(version, capture_output=True, text=True, check=True).stdout.startswith("1.")
    # A server of its own: the suite looks at lists, and this session's may have used the other one.
    url = process.ensure_running(tmp_path, stand_in=f"{sys.executable} {TINY_STAND_IN}", max_running_jobs=2)
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "CXR_CONTRACT_URL": url}
    command = [python, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", "tests/contract"]
    # The providers' own suite judges this program, not the server, and needs Amazon's SDK as well.
    command += ["--ignore", "tests/contract/provider"]
    try:
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    finally:
        process.stop(tmp_path)
    sys.stdout.write(ended.stdout[-3000:])
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert " failed" not in ended.stdout
    assert "skipped" not in ended.stdout
