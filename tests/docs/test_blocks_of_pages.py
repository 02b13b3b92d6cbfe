"""What pages show as JSON, TOML, YAML or Python is that; what the page on continuous integration shows runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
READERS = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
    "python": lambda text: compile(text, "block", "exec"),
}


def _blocks(page: Path, kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text(encoding="utf-8")) if found == kind]


def test_every_block_is_what_it_says() -> None:
    read = 0
    for page in sorted(DOCS.rglob("*.md")):
        for kind, reader in READERS.items():
            for text in _blocks(page, kind):
                assert reader(text) is not None, f"{page.name}: {kind}"
                read += 1
    assert read >= 5


def test_every_fence_is_closed_and_named() -> None:
    for page in sorted([*(DOCS / "how-to").glob("*.md"), *(DOCS / "invariants").glob("*.md")]):
        fences = re.findall(r"^```(\w*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert [bool(name) for name in fences] == [True, False] * (len(fences) // 2), page.name


@pytest.mark.slow
def test_the_tests_of_the_ci_page_pass(tmp_path: Path) -> None:
    conftest, tests = _blocks(DOCS / "how-to" / "ci.md", "python")
    (tmp_path / "conftest.py").write_text(conftest, encoding="utf-8")
    (tmp_path / "test_shown.py").write_text(tests, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "3 passed" in ended.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_rehearsal_of_the_ci_page_runs(tmp_path: Path) -> None:
    (script,) = [text for text in _blocks(DOCS / "how-to" / "ci.md", "sh") if "set -euo pipefail" in text]
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "cxr"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cxr "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CXR_")}
    environment["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{environment['PATH']}"
    try:
        ended = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )
    finally:
        subprocess.run(
            [program, "emulator", "stop", "--quiet"], cwd=tmp_path, env=environment, timeout=300, check=False
        )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-3000:]
    for made in ("plan.json", "ended.json", "runs/gpu/bundle.json", "compare/report.html"):
        assert (tmp_path / made).is_file(), made
