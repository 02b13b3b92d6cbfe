"""crc32c as Cloud Storage writes it: base64 of the four big-endian bytes (RFC 4960 polynomial)."""

from __future__ import annotations

import base64
from pathlib import Path

import google_crc32c

from cxr.files import CHUNK_BYTES


def crc32c_of_bytes(data: bytes) -> str:
    """The base64 crc32c of `data`."""
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode("ascii")


def crc32c_of_file(path: Path) -> str:
    """The base64 crc32c of a file's bytes, read in pieces."""
    checksum = google_crc32c.Checksum()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode("ascii")
