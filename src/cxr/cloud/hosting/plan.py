"""What hosting a page would do: compared with what lies in the bucket, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cxr.cloud.hosting.files import HostedFile, hosted_files
from cxr.cloud.hosting.host import FoundBucket, Host, StoredObject
from cxr.cloud.hosting.prices import HostingPrice, hosting_price
from cxr.cloud.hosting.record import RECORD, Record, read_record
from cxr.errors import UsageError
from cxr.storage.store import ABSENT
from cxr.webapp.page import read_page

#: What makes further files out of a page's.
MakeFiles = Callable[[Sequence[HostedFile]], Sequence[HostedFile]]
#: A folder of the bucket, in which the page's files lie.
DEFAULT_PREFIX: Final = "page"


@dataclass(frozen=True, slots=True)
class Sending:
    """A file to be sent, in the place of that version (ABSENT: of none)."""

    file: HostedFile
    version: str


@dataclass(frozen=True, slots=True)
class Stale:
    """A file of an older page: its path below the prefix, and its version."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Exposure:
    """What a public page shows to everybody."""

    files: int
    size: int
    model: str
    model_bytes: int
    known_images: int
    has_metrics: bool

    def sentences(self) -> tuple[str, ...]:
        """In words, for who is asked whether that is meant."""
        known = f"the first bytes of the SHA-256 of {self.known_images:,} training images' files"
        return (
            f"{self.files:,} files, {self.size / 1e6:,.1f} MB: the page and its program",
            f"the model {self.model} with all its weights ({self.model_bytes / 1e6:,.1f} MB)",
            f"{known}: who has one of these files can tell that it was trained on"
            if self.known_images
            else "nothing of the training images' files: the page was built without their hashes",
            "the model card" + (" and the figures of its evaluation" if self.has_metrics else ""),
            "nothing of the images themselves",
        )


@dataclass(frozen=True, slots=True)
class HostPlan:
    """Everything that hosting would do, in its order. `found` is None when the bucket has to be made in `region`;
    `public`: everybody may read it afterwards, `publish`: and may not now; `own`: the paths below the prefix that are
    the page's, before or afterwards."""

    host: Host
    page: Path
    prefix: str
    region: str
    found: FoundBucket | None
    record: Record
    record_version: str
    sending: tuple[Sending, ...]
    unchanged: int
    stale: tuple[Stale, ...]
    public: bool
    exposure: Exposure
    own: frozenset[str]

    @property
    def publish(self) -> bool:
        """Whether the bucket has to be made public."""
        return self.public and not (self.found is not None and self.found.public)

    @property
    def make_bucket(self) -> bool:
        """Whether there is no bucket yet."""
        return self.found is None

    @property
    def nothing_to_do(self) -> bool:
        """Whether the bucket is as it is to be."""
        return not (self.make_bucket or self.sending or self.stale or self.publish)

    @property
    def price(self) -> HostingPrice:
        """What the page costs."""
        return hosting_price(self.host.url, self.location, self.exposure.size)

    @property
    def location(self) -> str:
        """Where the bucket is, or will be."""
        return self.found.location if self.found else self.region

    @property
    def bytes_to_send(self) -> int:
        """Of all files to be sent, as they are stored."""
        return sum(len(one.file.data) for one in self.sending)

    def rows(self) -> list[tuple[str, str]]:
        """What a user reads before saying yes."""
        bucket = f"{self.host.url} in {self.location}"
        if self.make_bucket:
            bucket += " (will be made: private, public access prevented" + (
                ", then made public)" if self.public else ")"
            )
        elif self.publish:
            bucket += " (WILL BE MADE PUBLIC)"
        else:
            bucket += " (public)" if self.public else " (not public)"
        return [
            ("on", self.host.place),
            ("bucket", bucket),
            ("to", f"{self.host.url}/{self.prefix}"),
            ("model", self.exposure.model),
            ("to send", f"{len(self.sending):,} files, {self.bytes_to_send / 1e6:,.1f} MB"),
            ("unchanged", f"{self.unchanged:,} files"),
            ("older page", f"{len(self.stale):,} files to be deleted"),
            ("price", self.price.sentence(billed=self.host.billed)),
        ]

    def as_json(self) -> dict[str, Any]:
        """The plan for --json and for a plan file: all that must be the same when it is carried out."""
        return {
            "action": "host",
            "where": {**self.host.identity(), "prefix": self.prefix},
            "location": self.location,
            "page": str(self.page),
            "make_bucket": self.make_bucket,
            "public": self.public,
            "publish": self.publish,
            "send": [
                {"name": one.file.name, "md5": one.file.md5, "bytes": len(one.file.data), "version": one.version}
                for one in self.sending
            ],
            "unchanged": self.unchanged,
            "delete": [{"name": one.name, "version": one.version} for one in self.stale],
        }


def plan_page(
    host: Host, page: Path, prefix: str, region: str, *, public: bool, beside: MakeFiles = lambda _: ()
) -> HostPlan:
    """Compare a built page with what lies in the bucket below `prefix` ("" or a folder with a slash at its end).
    `beside` makes what lies beside the page's files, and is sent after them.

    Raises InputError for what is no page, UsageError where a file of somebody else is in the way, or where sending
    would make something public that is not to be: see check_public.
    """
    files = hosted_files(page)
    files = (*files, *beside(files))
    found = host.look()
    stored = {one.name.removeprefix(prefix): one for one in host.objects(prefix)} if found else {}
    record = read_hosted(host, prefix, stored)
    own = frozenset({*record.files, *(file.name for file in files), RECORD})
    check_public(host, found, prefix, own, public=public)
    sending = tuple(_sendings(files, stored, record, f"{host.url}/{prefix}"))
    names = {file.name for file in files}
    stale = tuple(Stale(name, stored[name].version) for name in record.files if name not in names and name in stored)
    return HostPlan(
        host=host,
        page=page,
        prefix=prefix,
        region=region,
        found=found,
        record=replace(record, made_bucket=True) if found is None else record,
        record_version=stored[RECORD].version if RECORD in stored else ABSENT,
        sending=sending,
        unchanged=len(files) - len(sending),
        stale=stale,
        public=public,
        exposure=_exposure(page, files),
        own=own,
    )


def read_hosted(host: Host, prefix: str, stored: Mapping[str, StoredObject]) -> Record:
    """What was hosted below `prefix` before; an empty record when nothing was."""
    if RECORD not in stored:
        return Record()
    return read_record(host.read(prefix + RECORD), f"{host.url}/{prefix}".rstrip("/"))


def check_public(host: Host, found: FoundBucket | None, prefix: str, own: frozenset[str], *, public: bool) -> None:
    """Raises UsageError where more would be public than is to be.

    The bucket is public and `public` is not asked for; access lists of single objects count, or would; `public` is
    asked for, and the bucket holds anything but the page (`own`), or grants everybody something that making it public
    would bring to life.
    """
    if found is None:
        return
    if found.public and not public:
        raise UsageError(
            f"{host.url} is public: everybody could read what is sent there",
            hint="--public if that is meant, or another --bucket",
        )
    if found.ends_lists and (public or not found.prevented):
        raise UsageError(
            f"{host.url} has access lists of single objects: they may show everybody more than is meant",
            hint=f"{found.ends_lists}, or another --bucket",
        )
    if not public:
        return
    if found.others:
        raise UsageError(
            f"{host.url} grants everybody more than the page: {', '.join(found.others)}; that would count once public "
            "access is no longer prevented",
            hint="take that from its access policy, or give the page a bucket of its own: --bucket NEW-NAME",
        )
    foreign = next((name for name in host.names() if not _is_own(name, prefix, own)), None)
    if foreign is not None:
        raise UsageError(
            f"{host.url} holds more than the page, the first is {foreign!r}: a public bucket shows all that is in it, "
            "patients' images, too",
            hint="give the page a bucket of its own: --bucket NEW-NAME",
        )


def _is_own(name: str, prefix: str, own: frozenset[str]) -> bool:
    return name.startswith(prefix) and name.removeprefix(prefix) in own


def _sendings(
    files: Sequence[HostedFile], stored: Mapping[str, StoredObject], record: Record, place: str
) -> list[Sending]:
    sendings = []
    for file in files:
        there = stored.get(file.name)
        if there is not None and (there.md5, there.headers) == (file.md5, file.headers):
            continue
        if there is not None and file.name not in record.files:
            raise UsageError(
                f"{place}{file.name} is there and no page of cxr's: it would be replaced",
                hint="choose another --prefix",
            )
        sendings.append(Sending(file, there.version if there else ABSENT))
    return sendings


def _exposure(page: Path, files: Sequence[HostedFile]) -> Exposure:
    document = read_page(page)
    known = document.get("known") or {}
    return Exposure(
        files=len(files),
        size=sum(len(file.data) for file in files),
        model=str(document.get("name", "")),
        model_bytes=int((document.get("model") or {}).get("bytes", 0)),
        known_images=int(known.get("count", 0)) if known.get("path") else 0,
        has_metrics=document.get("metrics") is not None,
    )
