"""Amazon S3 (or a server that speaks its API) as a store, through boto3. Nothing is ever made public."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from cxr.errors import ChangedOnDisk, InputError, NotFound, Unreachable, VersionConflict, missing_package
from cxr.files import atomic_path
from cxr.storage.amazon.errors import s3_errors
from cxr.storage.amazon.objects import (
    BLOCK_BYTES,
    Hashes,
    checked_key,
    etag_of,
    info_of,
    looks_like_md5,
    precondition,
    tells_md5,
)
from cxr.storage.amazon.session import AwsPlace, aws_client
from cxr.storage.amazon.uploads import PartsUpload, Target, put_single
from cxr.storage.checksums import digest_of_bytes, digest_of_file, other_bytes, read_checked, reading
from cxr.storage.limits import Limits, Pace
from cxr.storage.sessions import SessionRecords
from cxr.storage.store import Digest, ObjectInfo

#: The most objects that one answer lists (Amazon S3 API Reference, ListObjectsV2).
MAX_PAGE: Final = 1000
#: Files above this size go in parts that can be taken up again.
SINGLE_BYTES: Final = 8 << 20


def open_s3_store(
    url: str,
    *,
    workers: int = 16,
    endpoint: str | None = None,
    place: AwsPlace | None = None,
    limits: Limits | None = None,
    sessions: SessionRecords | None = None,
) -> S3Store:
    """The store at `s3://bucket/prefix`; region, endpoint and credentials are found as boto3 finds them, or are those
    of `place`.

    `endpoint` is the origin of a server that speaks S3 (without it AWS_ENDPOINT_URL decides, and without that
    Amazon's), `workers` the width of the connection pool, `sessions` where uploads in parts are remembered. Raises
    InputError when the URL names no bucket, MissingPackage without boto3.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not bucket:
        raise InputError(f"{url!r} names no bucket", hint="use s3://bucket/prefix")
    limits = limits or Limits()
    client = s3_client(workers=workers, place=place or AwsPlace(endpoint=endpoint), limits=limits)
    return S3Store(client, bucket, prefix.strip("/"), limits.pace, sessions)


def s3_client(*, workers: int, place: AwsPlace, limits: Limits) -> Any:
    """A boto3 client that sends each request once: `cxr.storage.retrying` knows which may be sent again."""
    try:
        from botocore.config import Config
    except ImportError as error:
        raise missing_package("boto3", "aws") from error
    config = Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=limits.connect_s,
        read_timeout=limits.stall_s,
        max_pool_connections=workers,
        # Every body goes with checksums that are signed; to sign the body as well is to read it twice.
        s3={"payload_signing_enabled": False},
    )
    client = aws_client("s3", place, config)
    client.meta.events.register("before-sign.s3.PutObject", _send_at_once)
    return client


def _send_at_once(request: Any, **_: Any) -> None:
    """Small bodies do not wait for a `100 Continue`, which takes a round trip for each object."""
    del request.headers["Expect"]


class S3Listing:
    """Objects under `s3://bucket/prefix`, by name, size and (where the ETag is one) md5. Versions are ETags."""

    def __init__(self, client: Any, bucket: str, prefix: str, *, page_size: int = MAX_PAGE) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._page_size = page_size

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        """All objects whose name starts with `prefix` and comes after `after`, page by page.

        The ETag of an upload in parts is no md5, nor is that of an object encrypted by KMS or a customer's key. The
        listing does not tell encryption, and to ask for each would take a request an object: so the first of each page
        (1000 objects) is asked, for its page. Where it may not be asked, no ETag is taken from there on. Where objects
        of one page are encrypted in different ways, some may still have an md5 that is none.
        """
        askable = True
        behind = {"StartAfter": self._prefix + after} if after else {}
        with s3_errors(f"list {self.url}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket,
                Prefix=self._prefix + prefix,
                PaginationConfig={"PageSize": self._page_size},
                **behind,
            )
            for page in pages:
                trusted: bool | None = None
                for found in page.get("Contents", ()):
                    etag = etag_of(found)
                    md5 = etag if looks_like_md5(etag) else ""
                    if md5 and askable and trusted is None:
                        trusted = self._has_md5_etag(found["Key"])
                        askable = trusted is not None
                    name = str(found["Key"]).removeprefix(self._prefix)
                    yield ObjectInfo(name, int(found["Size"]), "", etag, md5 if trusted else "")

    def _has_md5_etag(self, key: str) -> bool | None:
        """None where the object may not be asked."""
        from botocore.exceptions import ClientError

        try:
            head = self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status in (400, 403):
                return None  # a customer's key, or no permission to read: then it cannot be known
            if status == 404:
                return False  # deleted since it was listed
            raise
        return tells_md5(head, self._bucket)


class S3Store(S3Listing):
    """Objects under `s3://bucket/prefix`, read and written in one attempt each."""

    def __init__(
        self,
        client: Any,
        bucket: str,
        prefix: str,
        pace: Pace,
        sessions: SessionRecords | None = None,
        *,
        page_size: int = MAX_PAGE,
    ) -> None:
        super().__init__(client, bucket, prefix, page_size=page_size)
        self._pace = pace
        self._sessions = sessions

    def stat(self, name: str) -> ObjectInfo | None:
        """The object's metadata, in one request. None also where there is no such bucket: S3 tells no difference."""
        try:
            with s3_errors(f"look at {self.url}/{name}"):
                head = self._client.head_object(Bucket=self._bucket, Key=self._key(name), ChecksumMode="ENABLED")
        except NotFound:
            return None
        return info_of(name, self._bucket, head)

    def put_file(
        self,
        name: str,
        path: Path,
        *,
        if_version: str | None = None,
        expected: Digest | None = None,
        content_type: str | None = None,
    ) -> ObjectInfo:
        """Send a file: small ones in one request from memory, large ones in parts that survive this process."""
        target = self._target(name, f"send {path} to {self.url}/{name}", if_version, content_type)
        with reading(path):
            large = path.stat().st_size > SINGLE_BYTES
            data, digest = (b"", None) if large else read_checked(path, expected)
        if digest is not None:
            return self._put(name, target, data, digest)
        upload = PartsUpload(target, path, self._pace, self._sessions)
        try:
            etag, sent = upload.send(self.url, name, expected, page_size=self._page_size)
        except Unreachable as error:
            error.made_progress = upload.made_progress
            raise
        return ObjectInfo(name, sent.size, sent.crc32c, etag, "", sent.sha256)

    def put_bytes(
        self, name: str, data: bytes, *, if_version: str | None = None, content_type: str | None = None
    ) -> ObjectInfo:
        """Send bytes with their checksums and verify the answer's."""
        target = self._target(name, f"write {self.url}/{name}", if_version, content_type)
        return self._put(name, target, data, digest_of_bytes(data))

    def get_bytes(self, name: str) -> bytes:
        """An object's bytes, checked against what is known of its checksums."""
        blocks: list[bytes] = []
        self._download(name, blocks.append)
        return b"".join(blocks)

    def get_file(self, name: str, path: Path, *, expected: Digest | None = None) -> None:
        """Download to a temporary name, check, then rename."""
        with atomic_path(path) as temporary:
            with temporary.open("wb") as stream:
                self._download(name, stream.write)
            if expected is not None:
                try:
                    digest_of_file(temporary, expected)
                except ChangedOnDisk:
                    raise other_bytes(name, self.url) from None

    def delete(self, name: str, *, if_version: str | None = None) -> None:
        """Delete one object. S3 deletes what is not there as well, so it is looked at first."""
        what = f"delete {self.url}/{name}"
        found = self.stat(name)
        if found is None:
            raise NotFound(f"{what}: there is no such object")
        if if_version not in (None, found.version):
            raise VersionConflict(f"{what}: somebody else changed it meanwhile", hint="run the command again")
        with s3_errors(what):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name), **precondition(if_version))

    def _put(self, name: str, target: Target, data: bytes, digest: Digest) -> ObjectInfo:
        etag, md5 = put_single(target, data, digest, self._pace)
        return ObjectInfo(name, digest.size, digest.crc32c, etag, md5, digest.sha256)

    def _download(self, name: str, write: Callable[[bytes], object]) -> None:
        what = f"read {self.url}/{name}"
        with s3_errors(what):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name), ChecksumMode="ENABLED")
            info = info_of(name, self._bucket, answer)
            hashes = Hashes(md5=bool(info.md5 and not info.crc32c), sha256=bool(info.sha256 and not info.crc32c))
            with closing(answer["Body"]) as body:
                while block := body.read(BLOCK_BYTES):
                    self._pace.take(len(block))
                    self._pace.progressed()
                    hashes.update(block)
                    write(block)
        if info.holds(hashes.digest) is False:
            raise Unreachable(f"{what}: the data arrived damaged", hint="run the same command again")

    def _key(self, name: str) -> str:
        if not name:
            raise InputError(f"an object in {self.url} needs a name")
        return checked_key(self._prefix + name)

    def _target(self, name: str, what: str, if_version: str | None, content_type: str | None) -> Target:
        return Target(self._client, self._bucket, self._key(name), what, if_version, content_type)
