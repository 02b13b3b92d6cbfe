"""What stands at the other end of a socket is swapped in tests, never a function of a client."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parent
DOUBLES = ("unittest.mock", "mock", "pytest_mock", "responses", "requests_mock", "botocore.stub")

#: A file that imports one of these has one of these words.
WORDS = ("mock", "responses", "stub")


def _imported(path: Path) -> set[str]:
    """Full names of all that a file imports, wherever in it; of a file without any of WORDS none."""
    names: set[str] = set()
    text = path.read_text(encoding="utf-8")
    if not any(word in text for word in WORDS):
        return names  # most files: they need not be parsed
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_no_test_puts_a_double_in_place_of_a_client() -> None:
    imported = {path.relative_to(TESTS).as_posix(): _imported(path) for path in TESTS.rglob("*.py")}
    found = {
        f"{path}: {double}"
        for path, names in imported.items()
        for double in DOUBLES
        if any(name == double or name.startswith(f"{double}.") for name in names)
    }
    assert found == set()
    assert "ast" in imported[Path(__file__).name]  # the look itself sees imports
