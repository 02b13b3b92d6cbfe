"""docs/threat-model.md promises tests: each is there, and each of these files is promised."""

from __future__ import annotations

from pathlib import Path

from named_proofs import named_tests, not_there

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_is_there() -> None:
    assert len(named_tests(PAGE)) > 40
    assert not_there(PAGE) == []


def test_every_file_of_safety_tests_is_named() -> None:
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "safety").glob("test_*.py")}
    assert there - {path for path, _ in named_tests(PAGE)} == set()


def test_every_threat_has_a_measure_and_a_test() -> None:
    section = PAGE.partition("## Threats")[2].partition("## What is left")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    assert len(rows) > 30
    for row in rows:
        threat, measure, test = (cell.strip() for cell in row.strip("|").split(" | "))
        assert threat
        assert measure
        assert "tests/" in test, row
