"""Archives from elsewhere, unpacked: nothing lands outside of the folder, and nothing grows without end."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO, Final

from cxr.errors import InputError

#: What is unpacked, all files together. The largest bundle here, a net with all its exports, has about a gigabyte.
MAX_UNPACKED_BYTES: Final = 16 << 30
#: Members; a SavedModel has some dozens.
MAX_MEMBERS: Final = 100_000
UNREADABLE: Final = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError)


def unpack_tar(archive: Path | BinaryIO, folder: Path, *, name: str, max_bytes: int = MAX_UNPACKED_BYTES) -> None:
    """Unpack a tar, compressed or not, below `folder`; `name` is what an error calls it.

    Names that lead out are refused by tarfile's filter "data" (PEP 706), which had holes for links (CVE-2025-4517):
    links are refused here, devices too, and what says that it has more than `max_bytes` unpacked or MAX_MEMBERS
    members, before it is written. Raises InputError.
    """
    try:
        with tarfile.open(archive) if isinstance(archive, Path) else tarfile.open(fileobj=archive) as packed:
            size = 0
            # Member by member: the list of an archive that unpacks a thousandfold would itself take for ever.
            for count, member in enumerate(packed, 1):
                size += member.size
                if size > max_bytes or count > MAX_MEMBERS:
                    most = f"{max_bytes:,} bytes or {MAX_MEMBERS:,} files"
                    raise InputError(f"{name} unpacks to more than {most}: no model has so much")
                if not (member.isfile() or member.isdir()):
                    raise InputError(f"{name} holds {member.name!r}, which is a link or a device")
                packed.extract(member, folder, filter="data")
    except UNREADABLE as error:
        raise InputError(f"{name} cannot be unpacked: {error}") from error
