"""Google Cloud Storage as a store, through the official SDK."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import google_crc32c

from cxr.errors import ChangedOnDisk, Fault, InputError, NotFound, Unreachable, VersionConflict, missing_package
from cxr.files import atomic_path
from cxr.storage.checksums import crc32c_text, digest_of_bytes, digest_of_file, other_bytes, read_checked, reading
from cxr.storage.google.errors import storage_errors
from cxr.storage.google.resumable import ResumableUpload
from cxr.storage.google.wire import Wire
from cxr.storage.limits import Limits, Pace
from cxr.storage.sessions import SessionRecords
from cxr.storage.store import ABSENT, Digest, ObjectInfo

#: The project of buckets on a server that asks for no credentials.
LOCAL_PROJECT: Final = "cxr-local"
#: Files above this size go in pieces that can be taken up again.
SINGLE_BYTES: Final = 8 << 20
#: UTF-8 bytes of an object's name (https://cloud.google.com/storage/docs/objects#naming).
MAX_NAME_BYTES: Final = 1024
_FIELDS: Final = "items(name,size,crc32c,md5Hash,generation),nextPageToken"


def open_gcs_store(
    url: str,
    *,
    endpoint: str | None,
    project: str | None,
    workers: int,
    limits: Limits | None = None,
    sessions: SessionRecords | None = None,
) -> GcsStore:
    """The store at `gs://bucket/prefix`; see `cxr.storage.open_store`."""
    bucket, _, prefix = url.removeprefix("gs://").partition("/")
    if not bucket:
        raise InputError(f"{url!r} names no bucket", hint="use gs://bucket/prefix")
    limits = limits or Limits()
    client = gcs_client(endpoint=endpoint, project=project, workers=workers, limits=limits)
    return GcsStore(client, bucket, prefix.strip("/"), limits.pace, sessions or SessionRecords())


def gcs_client(*, endpoint: str | None, project: str | None, workers: int, limits: Limits | None = None) -> Any:
    """A storage client over a `Wire` that is `workers` wide (the SDK's own pool is 10, and thrashes beyond that)."""
    # The SDK asks for the bucket once more in the background for telemetry; nobody here reads it.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    try:
        import google.auth
        import google.cloud.storage as storage
    except ImportError as error:
        raise missing_package("google-cloud-storage", "gcp") from error
    from cxr.storage.google.credentials import local_credentials

    local = (endpoint or os.environ.get("STORAGE_EMULATOR_HOST") or "").rstrip("/")
    if local and "://" not in local:
        local = f"http://{local}"
    with storage_errors("open Cloud Storage"):
        if local:
            credentials: Any = local_credentials()
            project = project or LOCAL_PROJECT
        else:
            credentials, found = google.auth.default(scopes=storage.Client.SCOPE)
            project = project or found
        options = {"api_endpoint": local} if local else None
        origin = local or "https://storage.googleapis.com"
        wire = Wire(credentials, origin=origin, width=workers, limits=limits or Limits())
        return storage.Client(project=project, credentials=credentials, client_options=options, _http=wire)


class GcsStore:
    """Objects under `gs://bucket/prefix`. Versions are generations."""

    def __init__(self, client: Any, bucket: str, prefix: str, pace: Pace, sessions: SessionRecords) -> None:
        self._client = client
        try:
            self._bucket = client.bucket(bucket)
        except ValueError as error:  # the SDK's own rules for names
            raise InputError(f"{bucket!r} is no bucket's name: {error}", hint="use gs://bucket/prefix") from error
        self._prefix = f"{prefix}/" if prefix else ""
        self._pace = pace
        self._sessions = sessions

    @property
    def url(self) -> str:
        """`gs://bucket/prefix`."""
        return f"gs://{self._bucket.name}/{self._prefix}".rstrip("/")

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        """All objects whose name starts with `prefix` and comes after `after`, page by page."""
        offset = self._prefix + after if after else None
        with storage_errors(f"list {self.url}"):
            blobs = self._client.list_blobs(
                self._bucket, prefix=self._prefix + prefix, start_offset=offset, fields=_FIELDS, retry=None
            )
            for blob in blobs:
                info = self._info(blob)
                if info.name != after:
                    yield info

    def stat(self, name: str) -> ObjectInfo | None:
        """The object's metadata, in one request."""
        blob = self._blob(name)
        try:
            with storage_errors(f"look at {self.url}/{name}"):
                blob.reload(retry=None)
        except NotFound:
            return None
        return self._info(blob)

    def put_file(
        self,
        name: str,
        path: Path,
        *,
        if_version: str | None = None,
        expected: Digest | None = None,
        content_type: str | None = None,
    ) -> ObjectInfo:
        """Send a file: small ones in one request from memory, large ones in a session that survives this process."""
        with reading(path):
            size = expected.size if expected is not None else path.stat().st_size
        blob = self._blob(name)
        if size > SINGLE_BYTES:
            what = f"send {path} to {self.url}/{name}"
            upload = ResumableUpload(self._client, blob, self._sessions, self._pace, what)
            try:
                with storage_errors(upload.what):
                    upload.send(path, expected, generation_of(if_version), content_type)
            except Unreachable as error:
                error.made_progress = upload.made_progress
                raise
            return self._info(blob)
        data, digest = read_checked(path, expected)
        return self._put(blob, data, digest, if_version, content_type, f"send {path} to {self.url}/{name}")

    def put_bytes(
        self, name: str, data: bytes, *, if_version: str | None = None, content_type: str | None = None
    ) -> ObjectInfo:
        """Send bytes with their checksum and verify the answer's."""
        what = f"write {self.url}/{name}"
        return self._put(self._blob(name), data, digest_of_bytes(data), if_version, content_type, what)

    def get_bytes(self, name: str) -> bytes:
        """An object's bytes, checked against the service's crc32c by the SDK."""
        stream = io.BytesIO()
        self._download(name, stream)
        return stream.getvalue()

    def get_file(self, name: str, path: Path, *, expected: Digest | None = None) -> None:
        """Download to a temporary name, checked by the SDK and against `expected`, then rename."""
        with atomic_path(path) as temporary:
            with temporary.open("wb") as stream:
                found = self._download(name, stream)
            if expected is not None:
                _check_is(expected, found, temporary, other_bytes(name, self.url))

    def delete(self, name: str, *, if_version: str | None = None) -> None:
        """Delete one object."""
        with storage_errors(f"delete {self.url}/{name}"):
            self._blob(name).delete(if_generation_match=generation_of(if_version), retry=None)

    def _put(
        self, blob: Any, data: bytes, digest: Digest, if_version: str | None, content_type: str | None, what: str
    ) -> ObjectInfo:
        blob.metadata = {"sha256": digest.sha256} if digest.sha256 else None
        with storage_errors(what):
            blob.upload_from_file(
                io.BytesIO(data),
                size=len(data),
                content_type=content_type or "application/octet-stream",
                if_generation_match=generation_of(if_version),
                checksum="crc32c",
                retry=None,
            )
        info = self._info(blob)
        if (info.size, info.crc32c) != (digest.size, digest.crc32c):
            raise Fault(f"{blob.name}: the service stored other bytes than were sent", hint="run the command again")
        return info

    def _download(self, name: str, stream: BinaryIO) -> Digest:
        paced = _PacedWriter(stream, self._pace)
        with storage_errors(f"read {self.url}/{name}"):
            self._blob(name).download_to_file(cast(BinaryIO, paced), checksum="crc32c", retry=None)
        return paced.digest

    def _blob(self, name: str) -> Any:
        full = self._prefix + name
        if len(full.encode()) > MAX_NAME_BYTES:
            raise InputError(f"the name {name!r} is longer than the {MAX_NAME_BYTES} bytes that Cloud Storage takes")
        return self._bucket.blob(full)

    def _info(self, blob: Any) -> ObjectInfo:
        name = str(blob.name).removeprefix(self._prefix)
        # An object composed from parts has no md5.
        md5 = base64.b64decode(blob.md5_hash).hex() if blob.md5_hash else ""
        sha256 = str((blob.metadata or {}).get("sha256", ""))
        return ObjectInfo(name, int(blob.size or 0), str(blob.crc32c or ""), str(blob.generation), md5, sha256)


def _check_is(expected: Digest, found: Digest, path: Path, error: VersionConflict) -> None:
    if expected.crc32c:
        if (expected.size, expected.crc32c) != (found.size, found.crc32c):
            raise error
        return
    try:
        digest_of_file(path, expected)
    except ChangedOnDisk:
        raise error from None


def generation_of(version: str | None) -> int | None:
    """The generation that stands for a version in a request: 0 for an object that is not there."""
    return None if version is None else 0 if version == ABSENT else int(version)


class _PacedWriter:
    """What a download is written to: the SDK asks only for `write`, and `seek` after a restart."""

    def __init__(self, stream: BinaryIO, pace: Pace) -> None:
        self._stream, self._pace = stream, pace
        self._size = self._crc32c = 0

    @property
    def digest(self) -> Digest:
        return Digest(self._size, crc32c_text(self._crc32c))

    def write(self, data: bytes) -> int:
        self._pace.take(len(data))
        self._pace.progressed()
        self._size, self._crc32c = self._size + len(data), int(google_crc32c.extend(self._crc32c, data))
        return self._stream.write(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._size = self._crc32c = 0  # the SDK begins anew
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()
