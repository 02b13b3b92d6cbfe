"""Names that lead back to no patient without the salt: HMAC-SHA256 (RFC 2104), cut to 16 hex digits.

64 bits: among a million patients the odds that two share a key are one in 37 million.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Final

from cxr.errors import Fault, InputError, NotAllowed

SALT_BYTES: Final = 32
KEY_DIGITS: Final = 16


class Pseudonyms:
    """Keys of patients and images under one salt: the same salt gives the same keys."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    @property
    def check(self) -> str:
        """A value that differs between salts and tells nothing of the salt or of any key."""
        return hmac.new(self._salt, b"check", hashlib.sha256).hexdigest()[:KEY_DIGITS]

    def patient(self, patient_id: str) -> str:
        """The key of a PatientID."""
        return self._key("patient", patient_id.encode("utf-8", "surrogatepass"))

    def lone_patient(self, image_key: str) -> str:
        """The key of the unknown patient whom one image shows."""
        return self._key("patient of image", image_key.encode())

    def image(self, instance_uid: str) -> str:
        """The key of a SOPInstanceUID."""
        return self._key("image", instance_uid.encode("utf-8", "surrogatepass"))

    def image_by_bytes(self, sha256: str) -> str:
        """The key of an image without a SOPInstanceUID, from the sha256 (hex) of its file."""
        return self._key("image bytes", bytes.fromhex(sha256))

    def source(self, sha256: str) -> str:
        """The key of a source's bytes, from their sha256 (hex): it changes when they do."""
        return self._key("source bytes", bytes.fromhex(sha256))

    def _key(self, kind: str, value: bytes) -> str:
        # The kind keeps a patient's ID and an image's UID of the same spelling apart.
        return hmac.new(self._salt, kind.encode() + b"\0" + value, hashlib.sha256).hexdigest()[:KEY_DIGITS]


def read_or_make_salt(path: Path) -> tuple[bytes, bool]:
    """The secret salt in a file, and whether it was made just now (SALT_BYTES random bytes, readable by you alone).

    Of several processes that make it at once, one makes it. Raises InputError when the file is too short to be a
    salt, NotAllowed without permission, Fault when the disk refuses.
    """
    try:
        if path.exists():
            return _checked(path), False
        path.parent.mkdir(parents=True, exist_ok=True)
        made = _make(path)
        return _checked(path), made
    except PermissionError as error:
        raise NotAllowed(f"no permission to use the salt file {path}") from error
    except OSError as error:
        raise Fault(f"cannot use the salt file {path}: {error.strerror or error}") from error


def keep_out_of_git(folder: Path) -> None:
    """Give a folder a `.gitignore` of everything, unless it has one. Raises NotAllowed or Fault when it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), (folder / ".gitignore").open("x", encoding="utf-8") as stream:
            stream.write("*\n")
    except PermissionError as error:
        raise NotAllowed(f"no permission to write into {folder}") from error
    except OSError as error:
        raise Fault(f"cannot write into {folder}: {error.strerror or error}") from error


def is_open_to_others(path: Path) -> bool:
    """Whether others than its owner may read or write a file."""
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _make(path: Path) -> bool:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_bytes(SALT_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        # A link, unlike a rename, does not replace the salt that another process has made meanwhile.
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
            return True
        return False
    finally:
        Path(name).unlink(missing_ok=True)


def _checked(path: Path) -> bytes:
    salt = path.read_bytes()
    if len(salt) < SALT_BYTES:
        raise InputError(
            f"{path} has {len(salt)} bytes; a salt has {SALT_BYTES} or more",
            hint="name the right file with --salt-file; without the old salt, patients get new keys",
        )
    return salt
