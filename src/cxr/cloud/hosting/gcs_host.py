"""A Cloud Storage bucket as a place for a page, through the official SDK.

Sources: https://cloud.google.com/storage/docs/hosting-static-website (public access, main page),
…/docs/public-access-prevention, …/docs/request-endpoints (addresses).
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from google.api_core import exceptions as api

from cxr.cloud.connection import Connection
from cxr.cloud.hosting.files import Headers
from cxr.cloud.hosting.host import Address, FoundBucket, StoredObject
from cxr.errors import NotAllowed, NotFound, VersionConflict
from cxr.storage.bucket_state import EVERYBODY, end_lists_command
from cxr.storage.buckets import create_private_bucket
from cxr.storage.google.errors import storage_errors
from cxr.storage.google.store import gcs_client, generation_of
from cxr.storage.transfer.haul import Haul

MEMBER, READER = "allUsers", "roles/storage.objectViewer"
_FIELDS = "items(name,md5Hash,generation,contentType,cacheControl,contentEncoding),nextPageToken"
_NOT_PUBLIC = (
    "an organisation's policy may forbid it; a change of public access prevention takes up to a minute to count: "
    "run the same command again"
)

Result = TypeVar("Result")


class GcsHost:
    """A bucket of a connection."""

    def __init__(self, connection: Connection, haul: Haul | None = None) -> None:
        self._connection = connection
        self._haul = haul or Haul()
        self._client = gcs_client(
            endpoint=connection.endpoint, project=connection.project, workers=1, limits=self._haul.limits
        )
        self._bucket: Any = self._client.bucket(connection.bucket)

    @property
    def url(self) -> str:
        """See Host."""
        return f"gs://{self._connection.bucket}"

    @property
    def place(self) -> str:
        """See Host."""
        return self._connection.place

    @property
    def billed(self) -> bool:
        """See Host."""
        return self._connection.billed

    def identity(self) -> dict[str, str]:
        """See Host."""
        known = self._connection.identity()
        return {name: known[name] for name in ("on", "project", "bucket")}

    def look(self) -> FoundBucket | None:
        """See Host."""
        bucket = self._do(f"look up {self.url}", lambda: self._client.lookup_bucket(self._bucket.name, retry=None))
        if bucket is None:
            return None
        bindings = self._do(f"read the access policy of {self.url}", self._policy).bindings
        grants = [(one, member) for one in bindings for member in sorted(EVERYBODY & set(one["members"]))]
        others = tuple(f"{member} has {one['role']}" for one, member in grants if not _shows_page(one, member))
        configuration = bucket.iam_configuration
        prevention = configuration.public_access_prevention
        website = bucket._properties.get("website", {})
        before = {
            "public_access_prevention": prevention,
            "main_page": website.get("mainPageSuffix"),
            "not_found_page": website.get("notFoundPage"),
            "reader": any(_shows_page(one, member) for one, member in grants),
        }
        prevented = prevention == "enforced"
        ends_lists = "" if configuration.uniform_bucket_level_access_enabled else end_lists_command(self._bucket.name)
        public = bool(grants) and not prevented
        return FoundBucket(bucket.location.lower(), public, prevented, before, others, ends_lists)

    def names(self) -> Iterator[str]:
        """See Host. Older versions of objects can be read by everybody who may read the bucket."""
        with storage_errors(f"list {self.url}"):
            found = self._client.list_blobs(self._bucket, versions=True, fields="items(name),nextPageToken", retry=None)
            yield from (str(blob.name) for blob in found)

    def objects(self, prefix: str) -> list[StoredObject]:
        """See Host."""

        def listed() -> list[StoredObject]:
            blobs = self._client.list_blobs(self._bucket, prefix=prefix, fields=_FIELDS, retry=None)
            return [_stored(blob) for blob in blobs]

        return self._do(f"list {self.url}/{prefix}", listed)

    def read(self, name: str) -> bytes:
        """See Host."""
        blob = self._bucket.blob(name)
        data: bytes = self._do(f"read {self.url}/{name}", lambda: blob.download_as_bytes(retry=None))
        return data

    def create(self, region: str) -> None:
        """See Host."""
        at = self._connection
        create_private_bucket(at.bucket, region=region, endpoint=at.endpoint, project=at.project, haul=self._haul)

    def drop(self) -> bool:
        """See Host."""
        try:
            self._do(f"delete {self.url}", lambda: self._conflict_free(lambda: self._bucket.delete(retry=None)))
        except VersionConflict:
            return False
        except NotFound:
            pass
        return True

    def put(self, name: str, data: bytes, headers: Headers, version: str) -> str:
        """See Host."""
        blob = self._bucket.blob(name)
        blob.cache_control, blob.content_encoding = headers.cache_control, headers.content_encoding or None

        def send() -> None:
            blob.upload_from_string(
                data,
                content_type=headers.content_type,
                if_generation_match=generation_of(version),
                checksum="crc32c",
                retry=None,
            )

        try:
            self._do(f"write {self.url}/{name}", send)
        except VersionConflict:
            # An attempt whose answer was lost may have been carried out.
            found = next((one for one in self.objects(name) if one.name == name), None)
            if found is None or found.md5 != hashlib.md5(data, usedforsecurity=False).hexdigest():
                raise
            return found.version
        return str(blob.generation)

    def delete(self, name: str, version: str) -> None:
        """See Host."""
        blob, generation = self._bucket.blob(name), generation_of(version)
        try:
            self._do(f"delete {self.url}/{name}", lambda: blob.delete(if_generation_match=generation, retry=None))
        except NotFound:
            return

    def publish(self, prefix: str, main_page: str) -> None:
        """See Host. `prefix` says nothing here: a policy is the whole bucket's."""
        del prefix
        self._configure("inherited", main_page, None)

        def bind(policy: Any) -> None:
            if not any(_shows_page(one, MEMBER) and MEMBER in one["members"] for one in policy.bindings):
                policy.bindings.append({"role": READER, "members": {MEMBER}})

        self._change_policy(bind)

    def withdraw(self, prefix: str, before: Mapping[str, Any]) -> None:
        """See Host."""
        del prefix

        def unbind(policy: Any) -> None:
            for binding in policy.bindings:
                if _shows_page(binding, MEMBER):
                    binding["members"] = set(binding["members"]) - {MEMBER}
            policy.bindings = [binding for binding in policy.bindings if binding["members"]]

        if not before.get("reader"):
            self._change_policy(unbind)
        self._configure(before["public_access_prevention"], before["main_page"], before["not_found_page"])

    def addresses(self, prefix: str, main_page: str) -> tuple[Address, ...]:
        """See Host."""
        name, path = self._bucket.name, f"{prefix}{main_page}"
        if self._connection.endpoint:
            return (Address(f"{self._connection.endpoint}/{name}/{path}", "on this machine only"),)
        shared = Address(f"https://storage.googleapis.com/{name}/{path}", "shares its origin with all other buckets")
        if "." in name:  # Google's certificate covers one level of names
            own = Address(f"http://{name}/{prefix}", "needs a CNAME to c.storage.googleapis.com; no https of its own")
            return shared, own
        return Address(f"https://{name}.storage.googleapis.com/{path}", "has an origin of its own"), shared

    def fetch_command(self, prefix: str, folder: str) -> str:
        """See Host."""
        if self._connection.endpoint:
            return ""
        return f"gcloud storage cp --recursive {self.url}/{prefix}* {folder}"

    def _policy(self) -> Any:
        return self._bucket.get_iam_policy(requested_policy_version=3, retry=None)

    def _change_policy(self, change: Callable[[Any], None]) -> None:
        def once() -> None:
            policy = self._policy()
            change(policy)
            policy.version = 3
            self._bucket.set_iam_policy(policy, retry=None)

        self._allowed("change the access policy of", once)

    def _configure(self, prevention: str, main_page: str | None, not_found_page: str | None) -> None:
        def once() -> None:
            bucket = self._client.get_bucket(self._bucket.name, retry=None)
            bucket.iam_configuration.public_access_prevention = prevention
            bucket.configure_website(main_page, not_found_page)
            bucket.patch(retry=None)

        self._allowed("change", once)

    def _allowed(self, what: str, action: Callable[[], None]) -> None:
        try:
            self._do(f"{what} {self.url}", action)
        except VersionConflict as error:
            cause = error.__cause__
            said = cause.message if isinstance(cause, api.PreconditionFailed) else error.message
            raise NotAllowed(f"{what} {self.url}: {said}", hint=_NOT_PUBLIC) from error

    def _conflict_free(self, action: Callable[[], None]) -> None:
        try:
            action()
        except api.Conflict as error:
            raise VersionConflict(f"{self.url} is not empty") from error

    def _do(self, what: str, action: Callable[[], Result]) -> Result:
        def attempt() -> Result:
            with storage_errors(what):
                return action()

        return self._haul.retrier.call(attempt)


def _shows_page(binding: Mapping[str, Any], member: str) -> bool:
    """Whether what a binding gives a member is what `publish` gives."""
    return member == MEMBER and binding["role"] == READER and not binding.get("condition")


def _stored(blob: Any) -> StoredObject:
    headers = Headers(blob.content_type or "", blob.cache_control or "", blob.content_encoding or "")
    md5 = b64decode(blob.md5_hash).hex() if blob.md5_hash else ""
    return StoredObject(str(blob.name), md5, str(blob.generation), headers)
