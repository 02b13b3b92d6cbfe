"""Pages that name tests as proofs: each test exists, and each statement has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from named_proofs import named_tests, not_there

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
#: A part of the program -> docs/invariants/PART.md.
PARTS = (
    "aws",
    "bundle",
    "cli",
    "cloud",
    "compare",
    "emulator",
    "exports",
    "local_baseline",
    "manifests",
    "storage",
    "webapp",
)
FAILURES = DOCS / "silent-failures.md"


def _problems(text: str) -> list[str]:
    """What is wrong with the tests that `text` names."""
    named = sum(bool(name) for _, name in named_tests(text))
    mentioned = len(re.findall(r"\btests/[\w/]+\.py", text))
    alone = [f"{mentioned - named} test files are named without a test"] if mentioned != named else []
    return not_there(text) + alone


def _pages() -> list[Path]:
    return [FAILURES, *(DOCS / "invariants" / f"{part}.md" for part in PARTS)]


@pytest.mark.parametrize("page", _pages(), ids=lambda page: page.stem)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    assert _problems(page.read_text(encoding="utf-8")) == []


def test_a_name_that_is_no_test_is_noticed() -> None:
    assert _problems("`tests/docs/test_named_proofs.py::test_a_name_that_is_no_test_is_noticed`") == []
    assert _problems("`tests/docs/test_named_proofs.py::_problems`") != []
    assert _problems("`tests/docs/test_named_proofs.py::test_nothing`") != []
    assert _problems("`tests/docs/test_that_is_not_there.py::test_nothing`") != []
    assert _problems("`tests/docs/test_named_proofs.py`") != []


@pytest.mark.parametrize("part", PARTS)
def test_every_invariant_has_a_proof(part: str) -> None:
    text = (DOCS / "invariants" / f"{part}.md").read_text(encoding="utf-8")
    items = re.split(r"^(?=\d+\. )", text, flags=re.MULTILINE)[1:]
    assert 5 <= len(items) <= 12
    assert [item.splitlines()[0] for item in items if not named_tests(item)] == []
    assert [int(item.split(".")[0]) for item in items] == list(range(1, len(items) + 1))


def test_every_silent_failure_has_a_check_and_a_proof() -> None:
    text = FAILURES.read_text(encoding="utf-8")
    sections = re.split(r"^(?=### )", text, flags=re.MULTILINE)[1:]
    assert len(sections) >= 20
    for section in sections:
        title = section.splitlines()[0]
        assert "**You would notice:**" in section, title
        assert "**What catches it:**" in section, title
        assert named_tests(section), title


def test_every_page_of_invariants_is_of_a_part() -> None:
    index = DOCS / "invariants" / "index.md"
    assert sorted(path.stem for path in index.parent.glob("*.md") if path != index) == list(PARTS)
    assert re.findall(r"\]\((\w+)\.md\)", index.read_text(encoding="utf-8")) == list(PARTS)
