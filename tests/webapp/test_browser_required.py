"""Without a browser the tests of the page are skipped, and fail where they must not be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ANY = Path(__file__).with_name("test_page_looks.py")


@pytest.mark.slow
@pytest.mark.parametrize(("required", "status", "words"), [("", 0, "1 skipped"), ("1", 1, "1 error")])
def test_a_missing_browser_is_a_failure_only_where_one_is_required(
    required: str, status: int, words: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "pytest", str(ANY), "-k", "desktop", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PATH": str(tmp_path), "CXR_REQUIRE_BROWSER": required}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert (ran.returncode, words in ran.stdout) == (status, True), ran.stdout
    assert "there is no Chromium: install one" in ran.stdout
