"""A page's files as they are stored in a bucket: packed where that pays, with the headers that they are served with."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cxr.webapp.headers import COMPRESSED, HASHED, INDEX, cache_control, content_type
from cxr.webapp.kept import WORKER, files_of

#: Packing pays when at most this share of the bytes is left.
PAYS = 0.95


@dataclass(frozen=True, slots=True)
class Headers:
    """What a bucket says of an object when it serves it; an empty text: nothing."""

    content_type: str
    cache_control: str
    content_encoding: str = ""


@dataclass(frozen=True, slots=True)
class HostedFile:
    """One file as it is to be stored: `name` within the page (POSIX), the stored bytes and their md5 (hex)."""

    name: str
    data: bytes
    md5: str
    headers: Headers


def hosted_files(folder: Path) -> tuple[HostedFile, ...]:
    """All files of a page in the order in which they are sent: what others refer to first, then the main page, and at
    the very end the service worker, which tells browsers that have an older page to fetch this one."""
    return tuple(hosted_file(name, (folder / name).read_bytes()) for name in sorted(files_of(folder), key=_turn))


def hosted_file(name: str, data: bytes, *, pack: bool = True) -> HostedFile:
    """A file with its headers, gzipped where that pays (never without `pack`). The same bytes come out each time."""
    worth = pack and PurePosixPath(name).suffix in COMPRESSED
    packed = gzip.compress(data, compresslevel=9, mtime=0) if worth else data
    pays = len(packed) <= PAYS * len(data)
    stored = packed if pays else data
    headers = Headers(content_type(name), cache_control(name), "gzip" if pays else "")
    return HostedFile(name, stored, hashlib.md5(stored, usedforsecurity=False).hexdigest(), headers)


def _turn(name: str) -> tuple[int, str]:
    return {INDEX: 2, WORKER: 3}.get(name, 0 if name.startswith(HASHED) else 1), name
