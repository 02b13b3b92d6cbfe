"""Checksums that a client declares, held against those of the bytes that arrived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxr.cloud.emulator.errors import StorageError, invalid
from cxr.cloud.emulator.state.blobs import Blob


def declared_checksums(metadata: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, str]:
    """`{"crc32c": base64, "md5": base64}`: from the object's JSON, X-Goog-Hash and Content-MD5; what is there."""
    declared: dict[str, str] = {}
    for part in headers.get("x-goog-hash", "").split(","):
        kind, _, value = part.strip().partition("=")
        if kind in {"crc32c", "md5"} and value:
            declared[kind] = value
    if headers.get("content-md5"):
        declared["md5"] = headers["content-md5"]
    if metadata.get("crc32c"):
        declared["crc32c"] = str(metadata["crc32c"])
    if metadata.get("md5Hash"):
        declared["md5"] = str(metadata["md5Hash"])
    return declared


def verify_checksums(blob: Blob, declared: Mapping[str, str]) -> None:
    """Raise 400 when the bytes are not those the client meant to send."""
    for kind, label, actual in (("crc32c", "CRC32C", blob.crc32c), ("md5", "MD5", blob.md5)):
        expected = declared.get(kind)
        if expected is not None and expected != actual:
            raise _mismatch(label, expected, actual)


def _mismatch(label: str, expected: str, actual: str) -> StorageError:
    return invalid(
        f'Provided {label} hash "{expected}" doesn\'t match calculated {label} hash "{actual}".',
    )
