"""Ghosts: objects whose bytes are made when they are read, so that a bucket can hold a million that nobody has sent.

A ghost's bytes are those of a template, which is stored once, and then eight that count (big-endian). So every ghost
has other bytes, a true size and true checksums, and still begins as the image that the template is.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

import google_crc32c

PREFIX = "ghost-"
COUNTING_BYTES = 8


@dataclass(frozen=True, slots=True)
class Ghost:
    """Which one, and the blob that its template is. As text it is a blob's id."""

    number: int
    template: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.number}-{self.template}"

    @classmethod
    def parse(cls, text: str) -> Ghost | None:
        """The ghost that `str` wrote; None for the id of stored bytes."""
        if not text.startswith(PREFIX):
            return None
        number, _, template = text.removeprefix(PREFIX).partition("-")
        return cls(int(number), template)

    def ending(self) -> bytes:
        """The bytes behind the template's."""
        return self.number.to_bytes(COUNTING_BYTES, "big")


class GhostSums:
    """Size and checksums of all ghosts of one template, without going through its bytes for each."""

    def __init__(self, template: bytes) -> None:
        self.size = len(template) + COUNTING_BYTES
        self._md5 = hashlib.md5(template, usedforsecurity=False)
        self._crc = google_crc32c.value(template)

    def of(self, ghost: Ghost) -> tuple[str, str]:
        """crc32c and md5 in base64, as the service writes them."""
        md5, ending = self._md5.copy(), ghost.ending()
        md5.update(ending)
        crc = google_crc32c.extend(self._crc, ending).to_bytes(4, "big")
        return base64.b64encode(crc).decode(), base64.b64encode(md5.digest()).decode()
