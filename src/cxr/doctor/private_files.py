"""Files that nobody else should be able to read."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from cxr.doctor.findings import Finding, Level


def readable_by_others(check: str, path: Path) -> Iterator[Finding]:
    """A note when the file's mode lets group or others read it."""
    mode = path.stat().st_mode
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        words = f"{path} can be read by others on this machine (mode {stat.S_IMODE(mode):04o})"
        yield Finding(Level.NOTE, check, words, f"chmod 600 {shlex.quote(str(path))}")
