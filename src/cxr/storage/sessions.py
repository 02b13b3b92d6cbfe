"""Resumable uploads, remembered across processes: after kill -9 a large file goes on where it was.

A session's URL is a key to write that one object: the files are for the user's eyes only.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from cxr.documents import parse_json
from cxr.files import atomic_path, private_folder
from cxr.storage.store import Digest

#: Cloud Storage ends a session after a week (https://cloud.google.com/storage/docs/resumable-uploads); one day less.
SESSION_LIFE_S: Final = 6 * 24 * 3600.0


def session_key(url: str, name: str, digest: Digest, if_version: str | None) -> str:
    """What makes two uploads the same: where to, which bytes, over which version."""
    parts = (url, name, str(digest.size), digest.crc32c, digest.sha256, digest.md5, str(if_version))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class SessionRecords:
    """Session by key; in `folder` when there is one, otherwise only in this process."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._memory: dict[str, str] = {}

    def get(self, key: str) -> str | None:
        """The session that was begun for this key, unless it is too old."""
        if self._folder is None:
            return self._memory.get(key)
        try:
            record = parse_json(self._path(key).read_text(encoding="utf-8"))
            # The clock may have been set back meanwhile. Whether the session lives, the service knows anyway.
            fresh = abs(time.time() - float(record["begun"])) < SESSION_LIFE_S
            return str(record["session"]) if fresh else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, session: str) -> None:
        """Remember a session before its first byte is sent."""
        self._memory[key] = session
        if self._folder is None:
            return
        private_folder(self._folder)
        with atomic_path(self._path(key), mode=0o600) as temporary:
            temporary.write_text(json.dumps({"session": session, "begun": time.time()}), encoding="utf-8")

    def drop(self, key: str) -> None:
        """Forget a session that has ended."""
        self._memory.pop(key, None)
        if self._folder is not None:
            self._path(key).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove records of sessions that the service has forgotten."""
        if self._folder is None or not self._folder.is_dir():
            return
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):  # another command may be done with it
                if time.time() - entry.stat().st_mtime >= SESSION_LIFE_S:
                    Path(entry.path).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{key[:40]}.json"
