"""What stands at the other end of a socket is swapped in tests, never a function of a client."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parent
#: The one exception: what is asked at Amazon's own address alone, which no server of this machine can have.
EXCEPTION = "cloud/test_hosting_s3.py: botocore.stub"
DOUBLES = ("unittest.mock", "mock", "pytest_mock", "responses", "requests_mock", "botocore.stub")


def _imported(path: Path) -> set[str]:
    """Full names of all that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_no_test_puts_a_double_in_place_of_a_client() -> None:
    found = {
        f"{path.relative_to(TESTS)}: {double}"
        for path in TESTS.rglob("*.py")
        for double in DOUBLES
        if any(name == double or name.startswith(f"{double}.") for name in _imported(path))
    }
    assert found == {EXCEPTION}
    assert "ast" in _imported(Path(__file__))  # the look itself sees imports
