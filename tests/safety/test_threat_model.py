"""docs/threat-model.md promises tests: each is there, and each of these files is promised."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/.-]+\.py)(?:::(\w+))?`", PAGE)


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_test_that_is_named_is_there() -> None:
    assert len(NAMED) > 40
    missing = {
        f"{path}::{name}"
        for path, name in NAMED
        if not (ROOT / path).is_file() or (name and name not in names_in(ROOT / path))
    }
    assert missing == set()


def test_every_file_of_safety_tests_is_named() -> None:
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "safety").glob("test_*.py")}
    assert there - {path for path, _ in NAMED} == set()


def test_every_threat_has_a_measure_and_a_test() -> None:
    section = PAGE.partition("## Threats")[2].partition("## What is left")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    assert len(rows) > 30
    for row in rows:
        threat, measure, test = (cell.strip() for cell in row.strip("|").split(" | "))
        assert threat
        assert measure
        assert "tests/" in test, row
