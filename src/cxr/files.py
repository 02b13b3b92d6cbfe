"""Small file habits that every part keeps: written whole or not at all, hashed in pieces."""

from __future__ import annotations

import atexit
import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxr.errors import CxrError, Fault, NotAllowed

CHUNK_BYTES = 1 << 20


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


# mkstemp makes files 0600, where a plain open() obeys the umask. The umask can only be read by setting it, for the
# whole process: once, before there are threads.
_UMASK = _umask()

#: Temporary files that are being written, removed at the end of the program whatever their threads do.
_UNFINISHED: set[Path] = set()


#: The names of such files.
_UNFINISHED_NAME = re.compile(r"\..*\.cxr-[a-z0-9_]{8}\.part", re.DOTALL)
#: UTF-8 bytes of a file's name that its temporary name begins with; a name may have 255.
_NAME_BYTES = 200


def is_unfinished(name: str) -> bool:
    """Whether this is the name of a file of ours that was not written to its end."""
    return _UNFINISHED_NAME.fullmatch(name) is not None


@atexit.register
def _remove_unfinished() -> None:
    for path in list(_UNFINISHED):
        path.unlink(missing_ok=True)


def private_folder(folder: Path) -> Path:
    """Make a folder, and what is missing above it, for this user alone: patients' images and what opens a cloud lie in
    such. One that is there stays as it is. Raises what `mkdir` raises."""
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is a file", str(folder))
    return folder


def sha256_of_file(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def atomic_path(path: Path, *, mode: int = 0o666, exclusive: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends well and vanishes when it does not.

    `mode` is what the umask leaves of the file's permissions; `exclusive` refuses to replace a file. Raises NotAllowed
    when the folder cannot be written, Fault when the disk refuses (full, say), FileExistsError when `exclusive` and the
    name is taken.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{_beginning(path.name)}.cxr-", suffix=".part")
        os.close(handle)
    except OSError as error:
        raise unwritable(path, error) from error
    temporary = Path(name)
    _UNFINISHED.add(temporary)
    try:
        yield temporary
        temporary.chmod(mode & ~_UMASK)
        if exclusive:
            _take_name(temporary, path)
        else:
            temporary.replace(path)
    except FileExistsError:
        raise
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)
        _UNFINISHED.discard(temporary)


def unwritable(path: Path, error: OSError) -> CxrError:
    """The error for a file or folder that the system did not let be written: which, why, and what to do about it."""
    if error.errno in {errno.EACCES, errno.EPERM}:
        return NotAllowed(f"no permission to write {path}", hint="choose another place or change its permissions")
    message = f"cannot write {path}: {error.strerror or error}"
    if is_full(error):
        return Fault(message, hint=f"make room on the disk of {_nearest(path)}, then run the same command again")
    if error.errno == errno.EROFS:
        return NotAllowed(message, hint="choose a place that can be written, then run the same command again")
    return Fault(message)


def is_full(error: BaseException) -> bool:
    """Whether a disk or a quota is used up."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def _nearest(path: Path) -> Path:
    """The folder of a path, or what there is of the way to it."""
    return next((folder for folder in path.absolute().parents if folder.is_dir()), path)


def _beginning(name: str) -> str:
    return os.fsencode(name)[:_NAME_BYTES].decode("utf-8", "ignore")


def _take_name(temporary: Path, path: Path) -> None:
    # A link, unlike a renaming, refuses a name that has been taken meanwhile.
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(str(path)) from None
        temporary.replace(path)


def write_text_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text under a temporary name, then rename."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write bytes under a temporary name, then rename."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
