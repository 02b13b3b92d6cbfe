"""Where the bytes of images come from: files in a folder, or objects in a bucket, by their names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from cxr.errors import Fault, InputError
from cxr.local_baseline.images.row_file import Rows
from cxr.local_baseline.tensorflow_setup import cpu_count
from cxr.manifests.manifest import Manifest
from cxr.storage.checksums import crc32c_of_bytes

#: Reading from a bucket is waiting, not computing: more threads than cores.
BUCKET_WORKERS = 16
#: Threads beyond one a core: some wait for the disk.
WAITING_THREADS = 2
#: Images that a thread decodes before it takes the next ones.
CHUNK_IMAGES = 32

Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Source:
    """One image to be decoded: the name to read it by, and what is known of its bytes, as a manifest has it: sha256 and
    md5 in hex, crc32c in base64 (empty: not known; a listed bucket tells no sha256)."""

    name: str
    sha256: str = ""
    md5: str = ""
    crc32c: str = ""

    def differs(self, data: bytes) -> str:
        """The name of the strongest checksum that is known, when that of `data` is another; else empty."""
        if self.sha256:
            return "" if hashlib.sha256(data).hexdigest() == self.sha256 else "sha256"
        if self.md5:
            return "" if hashlib.md5(data, usedforsecurity=False).hexdigest() == self.md5 else "md5"
        return "crc32c" if self.crc32c and crc32c_of_bytes(data) != self.crc32c else ""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The image of a row as it is in its file; `read` gives the bytes, in whichever thread decodes them."""

    row: int
    read: Callable[[], bytes]


class ImageSource(Protocol):
    """Gives the encoded images of rows, each once, in an order of its own."""

    @property
    def workers(self) -> int:
        """How many threads should read and decode."""

    def chunks(self, rows: Rows) -> Iterator[list[Encoded]]:
        """The images of `rows`, a few at a time."""


@dataclass(frozen=True)
class NamedImages:
    """Images that can be read one by one: row r is `names[r]`."""

    names: Sequence[str]
    read: Read
    workers: int

    def chunks(self, rows: Rows) -> Iterator[list[Encoded]]:
        """See ImageSource."""
        for start in range(0, len(rows), CHUNK_IMAGES):
            part = rows[start : start + CHUNK_IMAGES]
            yield [Encoded(int(row), partial(self.read, self.names[row])) for row in part]


def images_root(manifest: Manifest) -> str:
    """The folder or URL that the manifest itself says its images are in."""
    root = manifest.header.root
    return root if "://" in root else str(manifest.root)


def reader(images: str) -> tuple[Read, int]:
    """How to read an image's bytes below `images` (a folder or a gs:// URL), and by how many threads at once."""
    if "://" in images:
        # Google's client takes a second to import; a folder does not need it.
        from cxr.storage import open_store

        return open_store(images, workers=BUCKET_WORKERS).get_bytes, BUCKET_WORKERS
    root = Path(images)
    if not root.is_dir():
        raise InputError(f"there is no folder of images {root}", hint="say where they are: --images DIR")
    return lambda name: read_local(root / name), cpu_count() + WAITING_THREADS


def read_local(path: Path) -> bytes:
    """A file's bytes. Raises InputError when it is not there, Fault when it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"the image {path} is not there", hint="scan the folder again: cxr data scan DIR") from None
    except OSError as error:
        raise Fault(f"cannot read {path}: {error.strerror or error}") from error
