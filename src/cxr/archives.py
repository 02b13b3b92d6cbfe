"""Archives from elsewhere, unpacked: nothing lands outside of the folder, and nothing grows without end."""

from __future__ import annotations

import importlib
import io
import os
import tarfile
import zipfile
import zlib
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import BinaryIO, Final, cast

from cxr.errors import InputError
from cxr.files import is_full, unwritable

try:
    from lzma import LZMAError
except ImportError:  # Python was built without it; then nothing raises it
    _LZMA_ERRORS: tuple[type[Exception], ...] = ()
else:
    _LZMA_ERRORS = (LZMAError,)

#: What is unpacked, all files together. The largest bundle here, a net with all its exports, has about a gigabyte.
MAX_UNPACKED_BYTES: Final = 16 << 30
#: Members; a SavedModel has some dozens.
MAX_MEMBERS: Final = 100_000
#: What stands in a tar around its files: half a kilobyte for each and as much to fill it up, more for a long name.
MAX_HEADER_BYTES: Final = 1 << 20
MAX_ALL_HEADER_BYTES: Final = 128 << 20
#: What reading bytes that were packed raises when they are damaged, whatever they were packed with.
_DAMAGED: Final[tuple[type[Exception], ...]] = (OSError, EOFError, ValueError, zlib.error, *_LZMA_ERRORS)
#: What reading a damaged or an encrypted zip raises, found by fuzzing.
UNREADABLE_ZIP: Final[tuple[type[Exception], ...]] = (zipfile.BadZipFile, RuntimeError, *_DAMAGED)
#: Of a tar: RecursionError for headers that announce headers, ArithmeticError for times that no clock has,
#: ImportError where Python was built without what unpacks it.
_NO_TAR: Final = (tarfile.TarError, RecursionError, ArithmeticError, ImportError)
UNREADABLE_TAR: Final[tuple[type[Exception], ...]] = (*_NO_TAR, *_DAMAGED)
#: How a packed stream begins, and the module that unpacks it.
_PACKERS: Final = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ": "lzma", b"]\x00\x00": "lzma"}


def unpack_tar(archive: Path | BinaryIO, folder: Path, *, name: str, max_bytes: int = MAX_UNPACKED_BYTES) -> None:
    """Unpack a tar, compressed or not, below `folder`; `name` is what an error calls it.

    Names that lead out are refused by tarfile's filter "data" (PEP 706), which had holes for links (CVE-2025-4517):
    links are refused here, devices too, and what says that it has more than `max_bytes` unpacked or MAX_MEMBERS
    members, before it is written; headers are refused before they are read. Raises InputError, and Fault when the disk
    is full.
    """
    try:
        with ExitStack() as opened:
            packed = opened.enter_context(archive.open("rb")) if isinstance(archive, Path) else archive
            plain = _Unpacked(opened.enter_context(_decompressed(packed)), name, max_bytes)
            _unpack(opened.enter_context(tarfile.open(fileobj=plain, mode="r:")), plain, folder)
    except UNREADABLE_TAR as error:
        if isinstance(error, OSError) and is_full(error):
            raise unwritable(folder, error) from error
        raise InputError(f"{name} cannot be unpacked: {error}") from error


class _Unpacked(io.RawIOBase):
    """The bytes of a tar. tarfile takes a header into memory whole, however long the archive says it is, and reads on
    to the next one however far away: both end here."""

    def __init__(self, stream: BinaryIO, name: str, max_bytes: int) -> None:
        self._stream, self.said, self.max_bytes = stream, name, max_bytes
        self.in_headers, self._header_bytes = True, 0

    def read(self, size: int = -1) -> bytes:
        if self.in_headers:
            self._header_bytes += size
            if not 0 <= size <= MAX_HEADER_BYTES or self._header_bytes > MAX_ALL_HEADER_BYTES:
                raise InputError(f"{self.said} cannot be unpacked: it is headers more than files")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if offset > self.max_bytes + MAX_ALL_HEADER_BYTES:
            raise self.too_large()
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def read_to_the_end(self) -> None:
        """A tar ends before its last byte, and checksums of what was packed stand at the end."""
        self.in_headers = False
        while self.read(1 << 20):
            self.seek(self.tell())

    def too_large(self) -> InputError:
        most = f"{self.max_bytes:,} bytes or {MAX_MEMBERS:,} files"
        return InputError(f"{self.said} unpacks to more than {most}: no model has so much")


def _decompressed(packed: BinaryIO) -> AbstractContextManager[BinaryIO]:
    start = packed.tell()
    first = packed.read(8)
    packed.seek(start)
    for magic, module in _PACKERS.items():
        if first.startswith(magic):
            return cast("AbstractContextManager[BinaryIO]", importlib.import_module(module).open(packed))
    return nullcontext(packed)


def _unpack(packed: tarfile.TarFile, plain: _Unpacked, folder: Path) -> None:
    size = 0
    # Member by member: the list of an archive that unpacks a thousandfold would itself take for ever.
    for count, member in enumerate(packed, 1):
        size += member.size
        if size > plain.max_bytes or count > MAX_MEMBERS:
            raise plain.too_large()
        if not (member.isfile() or member.isdir()):
            raise InputError(f"{plain.said} holds {member.name!r}, which is a link or a device")
        plain.in_headers = False
        packed.extract(member, folder, filter="data")
        plain.in_headers = True
    plain.read_to_the_end()
