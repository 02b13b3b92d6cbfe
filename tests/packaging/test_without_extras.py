"""With no extra installed every command works, or says in one line which extra is missing and how to install it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from commands_without_extras import AMAZON, CASES, Case
from lean import bare_environment, lean_environment
from typer.core import TyperGroup

from cxr.cli.default_group import DefaultGroup
from cxr.cli.main import app

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each case came to, in a folder with a manifest, a bundle and jobs."""
    python = lean_environment(tmp_path_factory.mktemp("lean"))
    helpers = os.pathsep.join([str(HERE), str(HERE.parent)])
    done = subprocess.run(
        [str(python), str(HERE / "typed_without_extras.py"), str(ROOT / "docs" / "figures.toml")],
        cwd=tmp_path_factory.mktemp("typed"),
        env=bare_environment(python) | {"PYTHONPATH": helpers},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: list[dict[str, Any]] = json.loads(done.stdout)
    return told


def _leaves(group: TyperGroup, path: tuple[str, ...]) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _leaves(command, (*path, name))
        elif isinstance(group, DefaultGroup) and name == group.DEFAULT:
            yield " ".join(path)
        else:
            yield " ".join((*path, name))


def test_every_command_is_among_the_cases() -> None:
    assert {case.command for case in CASES} == set(_leaves(typer.main.get_group(app), ()))


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: " ".join(CASES[number].line))
def test_what_a_command_says_without_extras(results: list[dict[str, Any]], number: int) -> None:
    assert_said(CASES[number], results[number]["code"], results[number]["err"])


#: What commands load for Amazon, beside the code of its own; servers of this machine have extras of their own.
FOR_AMAZON = (
    "preflight",
    "exporting",
    "uploading",
    "jobs.launching",
    "cleaning.removing",
    "jobs.waiting",
    "jobs.attaching",
)


def test_amazon_needs_no_package_of_googles(tmp_path: Path) -> None:
    python = lean_environment(tmp_path / "lean", "aws")
    package = ROOT / "src" / "cxr" / "cloud" / "aws"
    files = [path for path in sorted(package.rglob("*.py")) if "local" not in path.parts]
    own = [".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__") for path in files]
    modules = [*own, *(f"cxr.cloud.{name}" for name in FOR_AMAZON)]
    code = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)"
    environment = bare_environment(python)
    loaded = subprocess.run(
        [str(python), "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert loaded.returncode == 0, loaded.stderr
    checked = subprocess.run(
        [str(python), "-m", "cxr", "cloud", "check", *AMAZON.split()],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert checked.returncode == 3
    assert "no AWS credentials were found" in checked.stderr


def assert_said(case: Case, code: int, stderr: str) -> None:
    """The exit code, and for what is missing one line of words and one to type."""
    assert code == case.code, stderr
    assert "Traceback" not in stderr
    assert case.said in stderr
    if case.extras:
        *_, words, following = stderr.strip().splitlines()
        assert words.startswith("missing package: this needs ")
        assert following == f'  next: pip install "cxr[{case.extras}]"'
