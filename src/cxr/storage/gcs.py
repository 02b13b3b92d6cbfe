"""Google Cloud Storage as a store, through the official SDK."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from requests.adapters import HTTPAdapter

from cxr.errors import Fault, InputError, missing_package
from cxr.files import atomic_path
from cxr.storage.checksums import crc32c_of_bytes, crc32c_of_file
from cxr.storage.google_errors import google_errors
from cxr.storage.store import ObjectInfo

#: Seconds for one HTTP request before it counts as failed (and is retried when it carries a precondition).
REQUEST_TIMEOUT_S = 60.0
#: The project of buckets on a server that asks for no credentials.
LOCAL_PROJECT = "cxr-local"
_FIELDS = "items(name,size,crc32c,md5Hash,generation),nextPageToken"


def open_gcs_store(url: str, *, endpoint: str | None, project: str | None, workers: int) -> GcsStore:
    """The store at `gs://bucket/prefix`; see `cxr.storage.open_store`."""
    bucket, _, prefix = url.removeprefix("gs://").partition("/")
    if not bucket:
        raise InputError(f"{url!r} names no bucket", hint="use gs://bucket/prefix")
    return GcsStore(gcs_client(endpoint=endpoint, project=project, workers=workers), bucket, prefix.strip("/"))


def gcs_client(*, endpoint: str | None, project: str | None, workers: int) -> Any:
    """A storage client whose connection pool is `workers` wide (the SDK's own is 10, and thrashes beyond that)."""
    # The SDK asks for the bucket once more in the background for telemetry; nobody here reads it.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    try:
        import google.cloud.storage as storage
        from google.auth.credentials import AnonymousCredentials
    except ImportError as error:
        raise missing_package("google-cloud-storage", "gcp") from error
    local = endpoint or os.environ.get("STORAGE_EMULATOR_HOST")
    with google_errors("open Cloud Storage"):
        if local:
            options = {"api_endpoint": local}
            client = storage.Client(
                project=project or LOCAL_PROJECT, credentials=AnonymousCredentials(), client_options=options
            )
        else:
            client = storage.Client(project=project)
    for scheme in ("https://", "http://"):
        client._http.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=workers))
    return client


class GcsStore:
    """Objects under `gs://bucket/prefix`. Every write names the generation that it replaces, or is not retried."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = client.bucket(bucket)
        self._prefix = f"{prefix}/" if prefix else ""

    @property
    def url(self) -> str:
        """`gs://bucket/prefix`."""
        return f"gs://{self._bucket.name}/{self._prefix}".rstrip("/")

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose name starts with `prefix`, page by page."""
        with google_errors(f"list {self.url}"):
            blobs = self._client.list_blobs(self._bucket, prefix=self._prefix + prefix, fields=_FIELDS)
            for blob in blobs:
                yield self._info(blob)

    def put_file(
        self,
        name: str,
        path: Path,
        *,
        if_generation: int | None = None,
        crc32c: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Send a file with its checksum and verify the answer's."""
        sent = crc32c_of_file(path)
        if crc32c is not None and sent != crc32c:
            raise InputError(f"{path} has changed since it was scanned", hint="scan the folder again: cxr data scan")
        blob = self._blob(name)
        blob.metadata = dict(metadata) if metadata else None
        with google_errors(f"send {path} to {self.url}/{name}"):
            blob.upload_from_filename(
                str(path),
                content_type=content_type,
                if_generation_match=if_generation,
                checksum="crc32c",
                timeout=REQUEST_TIMEOUT_S,
            )
        return self._verified(blob, sent)

    def put_bytes(
        self, name: str, data: bytes, *, if_generation: int | None = None, content_type: str | None = None
    ) -> ObjectInfo:
        """Send bytes with their checksum and verify the answer's."""
        blob = self._blob(name)
        with google_errors(f"write {self.url}/{name}"):
            blob.upload_from_string(
                data,
                content_type=content_type or "application/octet-stream",
                if_generation_match=if_generation,
                checksum="crc32c",
                timeout=REQUEST_TIMEOUT_S,
            )
        return self._verified(blob, crc32c_of_bytes(data))

    def get_bytes(self, name: str) -> bytes:
        """An object's bytes, checked against the service's crc32c by the SDK."""
        with google_errors(f"read {self.url}/{name}"):
            data: bytes = self._blob(name).download_as_bytes(checksum="crc32c", timeout=REQUEST_TIMEOUT_S)
        return data

    def get_file(self, name: str, path: Path) -> None:
        """Download to a temporary name, checked by the SDK, then rename."""
        with atomic_path(path) as temporary, google_errors(f"read {self.url}/{name}"):
            self._blob(name).download_to_filename(str(temporary), checksum="crc32c", timeout=REQUEST_TIMEOUT_S)

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        """Delete one object; Raises InputError when there is none."""
        with google_errors(f"delete {self.url}/{name}"):
            self._blob(name).delete(if_generation_match=if_generation, timeout=REQUEST_TIMEOUT_S)

    def _blob(self, name: str) -> Any:
        return self._bucket.blob(self._prefix + name)

    def _info(self, blob: Any) -> ObjectInfo:
        name = str(blob.name).removeprefix(self._prefix)
        # An object composed from parts has no md5.
        md5 = base64.b64decode(blob.md5_hash).hex() if blob.md5_hash else ""
        return ObjectInfo(name, int(blob.size or 0), str(blob.crc32c or ""), int(blob.generation), md5)

    def _verified(self, blob: Any, sent: str) -> ObjectInfo:
        if blob.crc32c != sent:
            raise Fault(f"{self.url}/{blob.name} arrived damaged: sent crc32c {sent}, stored {blob.crc32c}")
        return self._info(blob)
