"""What the program says of itself: what it is for, and in a bug report its version, commit, Python and platform."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from cxr.version import __version__

#: On every page and picture, and at the end of every answer that may be read as a finding.
RESEARCH_USE = "Research use, not a medical device"


def about() -> dict[str, Any]:
    """`version`, `commit` (of a checkout, "" where it is not known), `python`, `implementation`, `platform`, `machine`,
    `location` (the folder that the package runs from)."""
    package = Path(__file__).resolve().parent
    return {
        "version": __version__,
        "commit": _commit(package),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(aliased=True, terse=False),
        "machine": platform.machine(),
        "location": str(package),
    }


def _commit(package: Path) -> str:
    """The commit that a checkout is at, read from git's files: git itself may not be here."""
    git = package.parents[1] / ".git"
    try:
        if git.is_file():  # a linked working tree
            git = (git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        name = head.removeprefix("ref: ")
        return head if name == head else _resolved(git, name)
    except OSError:
        return ""


def _resolved(git: Path, name: str) -> str:
    common = git / "commondir"
    shared = (git / common.read_text(encoding="utf-8").strip()).resolve() if common.is_file() else git
    for folder in (git, shared):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8").strip()
    packed = (shared / "packed-refs").read_text(encoding="utf-8").splitlines()
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
