"""A manifest and its images, sent to the bucket: planned against one listing, then carried out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cxr.cloud.connection import Connection, is_region
from cxr.errors import InputError, UsageError
from cxr.manifests.manifest import Manifest, canonical_csv
from cxr.storage import Store
from cxr.storage.buckets import BucketState, create_private_bucket, find_bucket
from cxr.storage.checksums import crc32c_of_bytes
from cxr.storage.transfer import LocalFile, Upload, UploadPlan, execute_upload, plan_upload

IMAGES = "images"
DEFAULT_WORKERS = 16


@dataclass(frozen=True, slots=True)
class ManifestUpload:
    """What sending a manifest would do: `make_bucket` when there is none yet, then the files, then the manifest."""

    connection: Connection
    manifest: Manifest
    make_bucket: bool
    files: UploadPlan
    manifest_is_there: bool
    warnings: tuple[str, ...] = ()

    @property
    def nothing_to_send(self) -> bool:
        """Whether every image and the manifest itself are in the bucket already."""
        return not self.make_bucket and not self.files.uploads and self.manifest_is_there

    def rows(self) -> list[tuple[str, str]]:
        """What a user reads before saying yes."""
        where, files = self.connection, self.files
        bucket = f"gs://{where.bucket}"
        if self.make_bucket:
            bucket += f" (will be made in {where.region}: private, uniform access, public access prevented)"
        return [
            ("on", where.place),
            ("bucket", bucket),
            ("to", where.images_url),
            ("new", f"{files.new:,} files"),
            ("changed", f"{files.changed:,} files"),
            ("unchanged", f"{files.unchanged:,} files, {_megabytes(files.unchanged_bytes)}"),
            ("to send", _megabytes(files.bytes_to_send)),
            ("manifest", "unchanged" if self.manifest_is_there else f"{self.manifest.hash[:16]}, to be sent last"),
            ("orphans", f"{len(files.orphans):,} objects that no image stands for (left alone)"),
        ]

    def as_json(self) -> dict[str, object]:
        """The plan for --json."""
        files = self.files
        return {
            "where": self.connection.identity(),
            "make_bucket": self.make_bucket,
            "new": files.new,
            "changed": files.changed,
            "unchanged": files.unchanged,
            "bytes_to_send": files.bytes_to_send,
            "manifest_is_there": self.manifest_is_there,
            "orphans": len(files.orphans),
        }


def plan_manifest_upload(connection: Connection, manifest: Manifest, *, images: Path | None = None) -> ManifestUpload:
    """Compare the manifest with the bucket. `images` overrides the manifest's root.

    Raises InputError when the images' folder is gone, UsageError when the bucket is in another region than the jobs.
    """
    root = check_images(manifest, images)
    bucket = find_bucket(connection.bucket, endpoint=connection.endpoint, project=connection.project)
    check_location(connection, bucket)
    files = _local_files(manifest, root)
    if bucket.location is None:
        plan = UploadPlan(connection.base_url, tuple(Upload(file, 0) for file in files), 0, 0, ())
        return ManifestUpload(connection, manifest, make_bucket=True, files=plan, manifest_is_there=False)
    return ManifestUpload(
        connection,
        manifest,
        make_bucket=False,
        files=plan_upload(files, connection.store(), f"{IMAGES}/"),
        manifest_is_there=_manifest_is_there(connection, manifest),
        warnings=() if bucket.private else (f"gs://{bucket.name} does not prevent public access",),
    )


def check_images(manifest: Manifest, images: Path | None = None) -> Path:
    """The folder of the images: `images`, or the manifest's root. Raises InputError when it is not there."""
    root = images or manifest.root
    if not root.is_dir():
        raise InputError(f"the images' folder {root} is not there", hint="--images DIR, or scan again: cxr data scan")
    return root


def send_manifest(
    upload: ManifestUpload, *, workers: int = DEFAULT_WORKERS, on_progress: Callable[[int, int, str], None]
) -> None:
    """Carry the plan out; the manifest goes last, so that one in the bucket has all its images beside it."""
    where = upload.connection
    if upload.make_bucket:
        create_private_bucket(where.bucket, region=where.region, endpoint=where.endpoint, project=where.project)
    store = where.store(workers=workers)
    execute_upload(upload.files, store, workers=workers, on_progress=on_progress)
    if not upload.manifest_is_there:
        put_manifest(store, upload.manifest, IMAGES)


def put_manifest(store: Store, manifest: Manifest, root: str) -> None:
    """Write manifest.json and manifest.csv; `root` is where the images are, a URL or relative to the manifest."""
    header = replace(manifest.header, root=root)
    store.put_bytes("manifest.json", json.dumps(asdict(header), indent=2).encode(), content_type="application/json")
    store.put_bytes("manifest.csv", canonical_csv(manifest.frame).encode(), content_type="text/csv")


def check_location(connection: Connection, bucket: BucketState) -> None:
    """Raises UsageError when the bucket is elsewhere than the jobs, which the services find out hours later."""
    location = bucket.location
    if location is None or location == connection.region:
        return
    another = f"make a bucket in {connection.region}: --bucket NEW-NAME"
    raise UsageError(
        f"gs://{connection.bucket} is in {location}, the jobs run in {connection.region}",
        hint=f"--region {location}, or {another}" if is_region(location) else another,
    )


def _manifest_is_there(connection: Connection, manifest: Manifest) -> bool:
    wanted = crc32c_of_bytes(canonical_csv(manifest.frame).encode())
    return any(
        info.name == "manifest.csv" and info.crc32c == wanted for info in connection.store().list("manifest.csv")
    )


def _local_files(manifest: Manifest, root: Path) -> list[LocalFile]:
    frame = manifest.frame
    columns = (frame["path"], frame["size"], frame["crc32c"], frame["sha256"])
    return [
        LocalFile(f"{IMAGES}/{path}", root / path, int(size), crc32c, sha256)
        for path, size, crc32c, sha256 in zip(*columns, strict=True)
    ]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
