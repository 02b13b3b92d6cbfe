"""A manifest and its images, sent to a bucket or folder: planned against one listing, then carried out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cxr.cloud.connection import Connection
from cxr.errors import CxrError, InputError, Interrupted, UsageError, VersionConflict
from cxr.manifests.manifest import Manifest, canonical_csv
from cxr.storage import Digest, ObjectInfo
from cxr.storage.bucket_state import BucketState, end_lists_command
from cxr.storage.checksums import digest_of_bytes
from cxr.storage.retrying import RetryingStore
from cxr.storage.store import ABSENT
from cxr.storage.transfer.files import Failure, LocalFile, Outcome
from cxr.storage.transfer.haul import Haul
from cxr.storage.transfer.plan_file import PlanFile, Totals
from cxr.storage.transfer.upload import delete_orphans, plan_upload, send_plan, side_by_side

if TYPE_CHECKING:
    import pandas as pd

IMAGES: Final = "images"
#: Names of orphans in a summary; a saved plan has all.
MOST_NAMES: Final = 1000
_DIGEST_COLUMNS: Final = ("path", "size", "crc32c", "md5", "sha256")
_CHUNK_ROWS: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a manifest goes: `url`, and the connection whose bucket it is (None: a place that is only written to)."""

    url: str
    store: RetryingStore
    haul: Haul
    connection: Connection | None = None

    @property
    def identity(self) -> dict[str, str]:
        """What makes two destinations the same place."""
        return self.connection.identity() if self.connection else {"on": self.place}

    @property
    def place(self) -> str:
        """Where that is, in words."""
        return self.connection.place if self.connection else self.url.partition("://")[0].replace(self.url, "this disk")


@dataclass(frozen=True, slots=True)
class ManifestPart:
    """One of the manifest's two objects: the bytes it is to have and the version there is; `there` when it has them."""

    name: str
    data: bytes
    content_type: str
    version: str
    there: bool


@dataclass(frozen=True, slots=True)
class ManifestUpload:
    """What sending a manifest would do: `make_bucket` when there is none yet, then the files, then the manifest."""

    destination: Destination
    manifest: Manifest
    root: Path
    make_bucket: bool
    files: PlanFile
    parts: tuple[ManifestPart, ...]
    warnings: tuple[str, ...] = ()

    @property
    def totals(self) -> Totals:
        """The images, counted."""
        return self.files.totals

    @property
    def manifest_is_there(self) -> bool:
        """Whether the destination has this very manifest."""
        return all(part.there for part in self.parts)

    @property
    def nothing_to_send(self) -> bool:
        """Whether every image and the manifest itself are in the bucket already."""
        return not self.make_bucket and not self.totals.to_send.files and self.manifest_is_there

    def rows(self, *, delete_orphans: bool = False) -> list[tuple[str, str]]:
        """What a user reads before saying yes."""
        where, totals = self.destination, self.totals
        fate = "to be deleted" if delete_orphans else "left alone"
        rows = [("on", where.place)]
        if where.connection:
            bucket = where.connection.bucket_url
            if self.make_bucket:
                region = where.connection.region
                bucket += f" (will be made in {region}: private, access lists off, public access prevented)"
            rows.append(("bucket", bucket))
        return [
            *rows,
            ("to", f"{where.url}/{IMAGES}"),
            ("new", _counted(totals.new.files, totals.new.size)),
            ("changed", _counted(totals.changed.files, totals.changed.size)),
            ("unchanged", _counted(totals.unchanged.files, totals.unchanged.size)),
            ("to send", megabytes(totals.to_send.size)),
            ("manifest", "unchanged" if self.manifest_is_there else f"{self.manifest.hash[:16]}, to be sent last"),
            ("orphans", f"{_counted(totals.orphan.files, totals.orphan.size)} that no image stands for ({fate})"),
        ]

    def orphan_names(self, most: int) -> list[str]:
        """The first names of objects that no image stands for."""
        return [action.name for action in islice(self.files.orphans(), most)] if self.totals.orphan.files else []

    def as_json(self) -> dict[str, object]:
        """The plan for --json."""
        totals = self.totals
        return {
            "where": self.destination.identity,
            "destination": self.destination.url,
            "make_bucket": self.make_bucket,
            "new": totals.new.files,
            "changed": totals.changed.files,
            "unchanged": totals.unchanged.files,
            "unchanged_bytes": totals.unchanged.size,
            "bytes_to_send": totals.to_send.size,
            "manifest_is_there": self.manifest_is_there,
            "orphans": totals.orphan.files,
            "orphan_bytes": totals.orphan.size,
            "orphan_names": self.orphan_names(MOST_NAMES),
        }


def destination_of(connection: Connection, haul: Haul | None = None) -> Destination:
    """The bucket and prefix of a connection."""
    haul = haul or Haul()
    return Destination(connection.base_url, connection.store(haul=haul), haul, connection)


def plan_manifest_upload(
    destination: Destination,
    manifest: Manifest,
    plan_path: Path,
    *,
    images: Path | None = None,
    on_objects: Callable[[int], None] = lambda count: None,
) -> ManifestUpload:
    """Compare the manifest with its destination and write the plan to `plan_path`. `images` overrides the manifest's
    root; `on_objects` is told how many objects have been listed.

    Raises InputError when the images' folder is gone, UsageError when the bucket is in another region than the jobs.
    """
    root = check_images(manifest, images)
    bucket = _bucket_of(destination)
    make_bucket = bucket is not None and bucket.location is None
    parts = _parts(manifest, destination, exists=not make_bucket)
    header = {
        "where": destination.identity,
        "manifest": manifest.hash,
        "manifest_parts": {part.name: part.version for part in parts},
    }
    files = plan_upload(
        _local_files(manifest, root),
        destination.store,
        f"{IMAGES}/",
        path=plan_path,
        header=header,
        empty=make_bucket,
        on_objects=on_objects,
    )
    return ManifestUpload(
        destination,
        manifest,
        root,
        make_bucket=make_bucket,
        files=files,
        parts=parts,
        warnings=_warnings(destination, bucket),
    )


def check_images(manifest: Manifest, images: Path | None = None) -> Path:
    """The folder of the images: `images`, or the manifest's root. Raises InputError when it is not there."""
    root = images or manifest.root
    if not root.is_dir():
        raise InputError(f"the images' folder {root} is not there", hint="--images DIR, or scan again: cxr data scan")
    return root


def send_manifest(upload: ManifestUpload, *, remove_orphans: bool = False) -> Outcome:
    """Carry the plan out; the manifest goes last and only when all images are there, so that one in the bucket has them
    beside it. Orphans are deleted last of all. Whatever fails after the bucket was made is in the outcome.
    """
    where, haul = upload.destination.connection, upload.destination.haul
    if upload.make_bucket and where:
        where.provider.create_bucket(where, haul)
    store, images = upload.destination.store, upload.root
    totals = upload.totals
    outcome = send_plan(
        upload.files, store, lambda name: images / name.removeprefix(f"{IMAGES}/"), haul.crew(totals.to_send)
    )
    if not outcome.complete:
        return outcome
    for part in upload.parts:
        try:
            if not part.there:
                _put_part(store, part)
        except CxrError as error:
            return replace(outcome, afterwards=(Failure(part.name, error),))
        except KeyboardInterrupt:
            stopped = Failure(part.name, Interrupted("stopped by Ctrl-C"))
            return replace(outcome, afterwards=(stopped,), interrupted=True)
    if remove_orphans and totals.orphan.files:
        deletion = delete_orphans(upload.files, store, haul.crew(totals.orphan))
        left = tuple(Failure(name, Interrupted("it was not deleted")) for name in deletion.untried)
        return replace(
            outcome,
            afterwards=(*deletion.failures, *left),
            deleted=deletion.tally.files,
            interrupted=deletion.interrupted,
        )
    return outcome


def put_manifest(store: RetryingStore, manifest: Manifest, root: str) -> None:
    """Write manifest.json and manifest.csv; `root` is where the images are, a URL or relative to the manifest."""
    for name, data, content_type in _contents(manifest, root):
        store.replace_bytes(name, data, content_type=content_type)


def check_location(connection: Connection, bucket: BucketState) -> None:
    """Raises UsageError when the bucket is elsewhere than the jobs, which the services find out hours later."""
    location = bucket.location
    if location is None or location == connection.region:
        return
    another = f"make a bucket in {connection.region}: --bucket NEW-NAME"
    raise UsageError(
        f"{connection.bucket_url} is in {location}, the jobs run in {connection.region}",
        hint=f"--region {location}, or {another}" if connection.provider.is_region(location) else another,
    )


def missing_objects(connection: Connection, manifest: Manifest) -> list[str]:
    """Paths of the manifest, in order, whose object is not in the bucket with the right size and checksum (one listing,
    read beside the manifest, so that neither has to fit into memory twice; S3 tells a checksum of what was sent in one
    part)."""
    bucket = connection.provider.find_bucket(connection)
    check_location(connection, bucket)
    stored = connection.store("images").list() if bucket.location else iter(())
    used = manifest.frame.loc[manifest.frame["split"] != "", list(_DIGEST_COLUMNS)]
    return [
        file.name
        for file, info in side_by_side(_files_of(used, Path(), ""), stored)
        if file is not None and (info is None or not _holds(info, file.digest))
    ]


def _holds(stored: ObjectInfo, digest: Digest) -> bool:
    if stored.size != digest.size:
        return False
    if stored.crc32c:
        return stored.crc32c == digest.crc32c
    return not stored.md5 or stored.md5 == digest.md5


def check_uploaded(connection: Connection, manifest: Manifest) -> None:
    """Raises InputError when an image of the manifest is not in the bucket as it was scanned, UsageError when the
    bucket is not in the jobs' region."""
    missing = missing_objects(connection, manifest)
    if missing:
        raise InputError(
            f"{len(missing)} images of the manifest are not at {connection.images_url}, the first is {missing[0]}",
            hint="send them first: cxr cloud upload",
        )


def check_split_uploaded(connection: Connection, manifest: Manifest, split: str) -> None:
    """Raises InputError when an image of a split is not in the bucket as it was scanned."""
    wanted = set(manifest.split(split)["path"])
    missing = [path for path in missing_objects(connection, manifest) if path in wanted]
    if missing:
        raise InputError(
            f"{len(missing):,} {split} images are not at {connection.images_url}, the first is {missing[0]}",
            hint="send them first: cxr cloud upload",
        )


def megabytes(size: int) -> str:
    """`12.3 MB`."""
    return f"{size / 1e6:,.1f} MB"


def _bucket_of(destination: Destination) -> BucketState | None:
    connection = destination.connection
    if connection is None:
        return None
    bucket = connection.provider.find_bucket(connection, destination.haul)
    check_location(connection, bucket)
    _check_not_public(connection, bucket)
    return bucket


def _check_not_public(connection: Connection, bucket: BucketState) -> None:
    if bucket.location is None or bucket.private:
        return
    if connection.provider.bucket_is_public(connection, bucket):
        raise UsageError(
            f"{connection.bucket_url} is public: everybody could read the images", hint="send them to another --bucket"
        )


def _warnings(destination: Destination, bucket: BucketState | None) -> tuple[str, ...]:
    if bucket is None or destination.connection is None or bucket.location is None or bucket.private:
        return ()
    url = destination.connection.bucket_url
    open_door = f"{url} does not prevent public access"
    if bucket.uniform:
        return (open_door,)
    # What such lists let through is told by each object alone: most of these buckets are private, so it is a warning.
    lists = f"{url} has access lists of single objects, which may show images to everybody"
    return (open_door, f"{lists}: {end_lists_command(bucket.name)}")


def _contents(manifest: Manifest, root: str) -> Iterator[tuple[str, bytes, str]]:
    header: dict[str, Any] = asdict(replace(manifest.header, root=root))
    yield "manifest.json", json.dumps(header, indent=2).encode(), "application/json"
    yield "manifest.csv", canonical_csv(manifest.frame).encode(), "text/csv"


def _parts(manifest: Manifest, destination: Destination, *, exists: bool) -> tuple[ManifestPart, ...]:
    parts = []
    for name, data, content_type in _contents(manifest, IMAGES):
        found = destination.store.stat(name) if exists else None
        there = found is not None and bool(found.holds(digest_of_bytes(data)))
        parts.append(ManifestPart(name, data, content_type, found.version if found else ABSENT, there))
    return tuple(parts)


def _put_part(store: RetryingStore, part: ManifestPart) -> None:
    try:
        store.put_bytes(part.name, part.data, if_version=part.version, content_type=part.content_type)
    except VersionConflict:
        # Another upload of the same manifest may have been quicker.
        found = store.stat(part.name)
        if found is None or not found.holds(digest_of_bytes(part.data)):
            raise


def _local_files(manifest: Manifest, root: Path) -> Iterator[LocalFile]:
    return _files_of(manifest.frame, root, f"{IMAGES}/")


def _files_of(frame: pd.DataFrame, root: Path, prefix: str) -> Iterator[LocalFile]:
    """The rows in order of their paths, some at a time: a column goes through much quicker as a list than value by
    value."""
    if not frame["path"].is_monotonic_increasing:
        frame = frame.sort_values("path", kind="stable")
    for start in range(0, len(frame), _CHUNK_ROWS):
        piece = frame.iloc[start : start + _CHUNK_ROWS]
        columns = (piece[name].tolist() for name in _DIGEST_COLUMNS)
        for path, size, crc32c, md5, sha256 in zip(*columns, strict=True):
            yield LocalFile(f"{prefix}{path}", root / path, Digest(size, crc32c, md5, sha256))


def _counted(files: int, size: int) -> str:
    return f"{files:,} files, {megabytes(size)}" if files else "0 files"
