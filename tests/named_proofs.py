"""Pages name tests as proofs, as `tests/FILE.py::test_name` in backticks: what is named, and what is not there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_NAMED = re.compile(r"`(tests/[\w/.-]+\.py)(?:::(\w+))?`")


def named_tests(text: str) -> list[tuple[str, str]]:
    """File and test function ("" where a whole file is named), in the order of the text."""
    return [(found[1], found[2] or "") for found in _NAMED.finditer(text)]


def not_there(text: str) -> list[str]:
    """Those that do not exist."""
    return [
        f"{file}::{name}"
        for file, name in named_tests(text)
        if not (ROOT / file).is_file()
        or (name and not (name.startswith("test_") and name in _functions_of(ROOT / file)))
    ]


@cache
def _functions_of(path: Path) -> frozenset[str]:
    """Names of the functions of a file, those in classes left out: no test is in one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))
