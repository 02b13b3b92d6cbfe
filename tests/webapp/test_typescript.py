"""The TypeScript tests, run by Node's own test runner, and what the build is made of."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from cxr.errors import UsageError
from cxr.webapp import static

WEBAPP = Path(__file__).resolve().parents[2] / "webapp"


def test_the_typescript_tests_pass(node: str, built_tests: Path) -> None:
    files = sorted(map(str, built_tests.glob("*.test.mjs")))
    assert len(files) >= 3
    ran = subprocess.run([node, "--test", *files], capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((WEBAPP / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in lock["packages"].items() if name)


def test_the_engine_is_small_over_the_wire(static_files: Path) -> None:
    build = json.loads((static_files / static.BUILD_FILE).read_text())
    engine = [build["files"][name]["gzipped"] for name in build["engine"]["verify"]]
    assert len(engine) >= 3
    assert sum(engine) < 200_000
    assert build["files"]["wasm/tfjs-backend-wasm-simd.wasm"]["bytes"] < 450_000


def test_without_a_build_the_error_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(static, "FOLDER", tmp_path)
    with pytest.raises(UsageError, match="not built") as error:
        static.static_folder()
    assert error.value.hint == "in a checkout, run: make web"
    (tmp_path / static.BUILD_FILE).write_text("{}")
    assert static.static_folder() == tmp_path
    with pytest.raises(UsageError, match="lack page"):
        static.static_file("page")
