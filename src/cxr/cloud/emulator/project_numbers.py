"""Projects have an id that people choose and a number that the service gives."""

from __future__ import annotations

import zlib


def project_number(project: str) -> str:
    """The number of a project: itself when it is one, otherwise made of its id (twelve digits, always the same)."""
    return project if project.isdigit() else str(10**11 + zlib.crc32(project.encode()))
