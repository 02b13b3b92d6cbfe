"""A bucket as a place for a page: what hosting asks of every cloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cxr.cloud.hosting.files import Headers


@dataclass(frozen=True, slots=True)
class FoundBucket:
    """A bucket as it is: its location (lower case), whether everybody may read what is in it, whether that is prevented
    by enforcement, and what of it hosting may change, as plain values that `withdraw` understands.

    `others` is what it grants everybody beside what `publish` grants, in words: dormant while public access is
    prevented. `ends_lists` is the command that ends access lists of single objects, "" where none count.
    """

    location: str
    public: bool
    prevented: bool
    before: Mapping[str, Any]
    others: tuple[str, ...] = ()
    ends_lists: str = ""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of the bucket: its whole name, the md5 (hex) of what is stored ("" where it is not told), the version
    that a later write or deletion can name, and its headers (None: not asked for)."""

    name: str
    md5: str
    version: str
    headers: Headers | None


@dataclass(frozen=True, slots=True)
class Address:
    """Where a public page is seen, and what is to be said of that address."""

    url: str
    note: str


class Host(Protocol):
    """What both clouds do. Every method tries again what fails for now, and raises what a Store raises."""

    @property
    def url(self) -> str:
        """`gs://bucket` or `s3://bucket`."""

    @property
    def place(self) -> str:
        """Where that is, in words."""

    @property
    def billed(self) -> bool:
        """Whether it costs money."""

    def identity(self) -> dict[str, str]:
        """What makes two hosts the same place."""

    def look(self) -> FoundBucket | None:
        """The bucket; None when there is none. Raises NotAllowed when it is somebody else's."""

    def names(self) -> Iterator[str]:
        """The names of all objects in the bucket that could be read, were it public: older versions, too."""

    def objects(self, prefix: str) -> list[StoredObject]:
        """The objects whose name begins with `prefix`, with their headers."""

    def read(self, name: str) -> bytes:
        """An object's bytes. Raises NotFound."""

    def create(self, region: str) -> None:
        """Make the bucket, private and with public access prevented."""

    def drop(self) -> bool:
        """Delete the bucket if it is empty; whether it is gone."""

    def put(self, name: str, data: bytes, headers: Headers, version: str) -> str:
        """Store an object in the place of that version (ABSENT: of none); the new version. Raises VersionConflict."""

    def delete(self, name: str, version: str) -> None:
        """Delete that version of an object; one that is gone is gone."""

    def publish(self, prefix: str, main_page: str) -> None:
        """Let everybody read the bucket's objects, with `main_page` for folders. Raises NotAllowed."""

    def withdraw(self, prefix: str, before: Mapping[str, Any]) -> None:
        """Undo `publish`: the bucket as `before` says."""

    def addresses(self, prefix: str, main_page: str) -> tuple[Address, ...]:
        """Where the public page is seen, the best address first."""

    def fetch_command(self, prefix: str, folder: str) -> str:
        """The command that brings a private page to a folder, "" when there is none."""
