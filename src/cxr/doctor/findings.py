"""The Finding noun of `cxr doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How it is: fine; worth knowing, and perhaps to be mended; or something that will fail."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found, in words, and the command that mends it ("" when there is nothing to mend). `facts` is the
    same for programs (--json); no secret is ever in either."""

    level: Level
    check: str
    words: str
    fix: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
