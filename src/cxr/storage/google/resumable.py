"""A large file to Cloud Storage in pieces, in a session that outlives the process.

Protocol: https://cloud.google.com/storage/docs/performing-resumable-uploads. The session is made by the SDK; its pieces
go over the SDK's own authorised connection.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import google_crc32c
import requests
from google.api_core.exceptions import NotFound, from_http_response

from cxr.errors import Fault
from cxr.storage.checksums import changed, crc32c_of_start, crc32c_text, digest_of_file, reading
from cxr.storage.limits import Pace
from cxr.storage.sessions import SessionRecords, session_key
from cxr.storage.store import Digest

#: One piece: a multiple of 256 KiB, and what a worker holds in memory.
PIECE_BYTES: Final = 8 << 20
_RANGE: Final = re.compile(r"bytes=0-(\d+)")
#: A session that will not go on: unknown, expired, cancelled, or (400) not what it was begun for.
_GONE: Final = frozenset({400, 404, 410, 499})


class ResumableUpload:
    """One attempt to bring a file into `blob`; what has arrived counts for the next attempt and the next process."""

    def __init__(self, client: Any, blob: Any, sessions: SessionRecords, pace: Pace, what: str) -> None:
        self._client, self._blob, self._sessions, self._pace = client, blob, sessions, pace
        self._origin = str(client._connection.API_BASE_URL)
        self.what = what
        #: Whether a piece of the file was acknowledged in this attempt.
        self.made_progress = False

    def send(self, path: Path, expected: Digest | None, generation: int | None, content_type: str | None) -> None:
        """Send what is missing. Afterwards the blob has the service's properties of the object.

        Raises ChangedOnDisk when the file is gone or is not `expected`, and Google's exceptions.
        """
        with reading(path):
            stream = path.open("rb")
        with stream:
            if expected is not None and expected.size != stream.seek(0, 2):
                raise changed(path)
            known = expected if expected is not None and expected.crc32c else digest_of_file(path, expected)
            place = f"{self._origin}/{self._blob.bucket.name}"
            key = session_key(place, self._blob.name, known, str(generation))
            url, offset = self._session(key, known, generation, content_type)
            self._pieces(stream, path, url, offset, key, known)

    def _session(self, key: str, known: Digest, generation: int | None, content_type: str | None) -> tuple[str, int]:
        url = self._sessions.get(key)
        if url is not None and url.startswith(f"{self._origin}/"):
            offset = self._persisted(url, known.size)
            if offset is not None:
                return url, offset
            self._sessions.drop(key)
        self._blob.metadata = {"sha256": known.sha256} if known.sha256 else None
        url = str(
            self._blob.create_resumable_upload_session(
                content_type=content_type or "application/octet-stream",
                size=known.size,
                checksum=None,
                if_generation_match=generation,
                retry=None,
            )
        )
        self._sessions.put(key, url)
        return url, 0

    def _persisted(self, url: str, size: int) -> int | None:
        """How many bytes the service has; None when it knows the session no more."""
        answer = self._client._http.request(
            "PUT", url, data=b"", headers={"Content-Range": f"bytes */{size}", "Content-Length": "0"}
        )
        if answer.status_code in _GONE:
            return None
        if answer.status_code == 308:
            return _offset(answer)
        if answer.ok:
            return size if self._is_still_there(answer.json()) else None
        raise from_http_response(answer)

    def _is_still_there(self, made: dict[str, Any]) -> bool:
        """Whether the object that a remembered session has made is the one that is there."""
        try:
            self._blob.reload(retry=None)
        except NotFound:
            return False
        return str(self._blob.generation) == str(made.get("generation"))

    def _pieces(self, stream: Any, path: Path, url: str, offset: int, key: str, known: Digest) -> None:
        crc, counted = crc32c_of_start(path, offset), offset
        while offset < known.size:
            stream.seek(offset)
            piece = stream.read(PIECE_BYTES)
            if offset != counted:  # the service kept less than was sent
                crc = crc32c_of_start(path, offset)
            crc, counted = int(google_crc32c.extend(crc, piece)), offset + len(piece)
            last = counted == known.size
            if not piece or (last and known.crc32c and crc32c_text(crc) != known.crc32c):
                self._abandon(url, key)
                raise changed(path)
            before = offset
            offset = self._put(url, piece, offset, known.size, crc32c_text(crc) if last else None, key)
            if offset <= before:
                raise requests.ConnectionError("the service kept nothing of a piece")
            self.made_progress = True
            self._pace.progressed()
        self._sessions.drop(key)
        if int(self._blob.size or -1) != known.size or self._blob.crc32c != (known.crc32c or crc32c_text(crc)):
            raise Fault(f"{self.what}: the service stored other bytes than were sent", hint="run the command again")

    def _put(self, url: str, piece: bytes, offset: int, size: int, crc32c: str | None, key: str) -> int:
        headers = {"Content-Range": f"bytes {offset}-{offset + len(piece) - 1}/{size}"}
        if crc32c is not None:
            headers["X-Goog-Hash"] = f"crc32c={crc32c}"
        answer = self._client._http.request("PUT", url, data=piece, headers=headers)
        if answer.status_code == 308:
            return _offset(answer)
        if answer.ok:
            self._blob._set_properties(answer.json())
            return size
        if answer.status_code in {412, *_GONE}:
            self._sessions.drop(key)
        if answer.status_code in _GONE - {400}:
            raise requests.ConnectionError("the service has ended the upload session")
        raise from_http_response(answer)

    def _abandon(self, url: str, key: str) -> None:
        self._sessions.drop(key)
        self._client._http.request("DELETE", url, data=b"", headers={"Content-Length": "0"})


def _offset(answer: Any) -> int:
    found = _RANGE.fullmatch(answer.headers.get("Range", ""))
    return int(found.group(1)) + 1 if found else 0
