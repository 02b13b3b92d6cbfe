"""A manifest and its images, brought from a bucket or folder to this disk, checked against the manifest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cxr.cloud.uploading import IMAGES, Destination, megabytes
from cxr.errors import CheckFailed, CxrError, NotFound
from cxr.files import write_bytes_atomically
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import read_manifest
from cxr.storage import Digest, ObjectInfo
from cxr.storage.transfer.download import fetch_plan, plan_download
from cxr.storage.transfer.files import Failure, LocalFile, Outcome
from cxr.storage.transfer.plan_file import PlanFile, Totals
from cxr.storage.transfer.upload import side_by_side

MANIFEST_NAMES: Final = ("manifest.json", "manifest.csv")
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Download:
    """What a download would do: fetch `files` to `folder`; `manifest` is None when there is none at the source and all
    objects are fetched as they are."""

    source: Destination
    folder: Path
    files: PlanFile
    manifest: Manifest | None
    #: Where the manifest's files were put to be read; they come to `folder` last.
    scratch: Path
    #: Names of objects that can be no files here.
    skipped: tuple[str, ...] = ()

    @property
    def totals(self) -> Totals:
        """The files, counted."""
        return self.files.totals

    @property
    def replaced_manifest(self) -> bool:
        """Whether `folder` has another manifest, which would be replaced."""
        return self.manifest is not None and any(
            (self.folder / name).exists() and (self.folder / name).read_bytes() != (self.scratch / name).read_bytes()
            for name in MANIFEST_NAMES
        )

    def rows(self) -> list[tuple[str, str]]:
        """What a user reads before it begins."""
        totals = self.totals
        manifest = self.manifest.hash[:16] if self.manifest else "none there: all objects are fetched as they are"
        manifest += " (the one here is replaced)" if self.replaced_manifest else ""
        return [
            ("on", self.source.place),
            ("from", self.source.url),
            ("to", str(self.folder)),
            ("manifest", manifest),
            ("new", f"{totals.new.files:,} files, {megabytes(totals.new.size)}"),
            ("changed", f"{totals.changed.files:,} files, {megabytes(totals.changed.size)} (those here are replaced)"),
            ("here already", f"{totals.unchanged.files:,} files, {megabytes(totals.unchanged.size)}"),
        ]

    def as_json(self) -> dict[str, object]:
        """The plan for --json."""
        totals = self.totals
        return {
            "source": self.source.url,
            "folder": str(self.folder),
            "manifest": self.manifest.hash if self.manifest else None,
            "new": totals.new.files,
            "changed": totals.changed.files,
            "unchanged": totals.unchanged.files,
            "bytes_to_fetch": totals.to_send.size,
        }


def plan_manifest_download(source: Destination, folder: Path, scratch: Path) -> Download:
    """Compare the source with `folder`; the plan and the manifest are kept in `scratch`.

    Raises NotFound when there is nothing, CheckFailed when images of the manifest are missing there or have other
    bytes.
    """
    store = source.store
    plan_path = scratch / "plan.jsonl"
    if store.stat(MANIFEST_NAMES[-1]) is None:
        skipped: list[str] = []
        files = plan_download(_something(source), store, folder, path=plan_path, skipped=skipped)
        return Download(source, folder, files, None, scratch, tuple(skipped))
    for name in MANIFEST_NAMES:
        store.get_file(name, scratch / name)
    manifest = read_manifest(scratch / MANIFEST_NAMES[-1])
    files = plan_download(_images_of(manifest, source), store, folder, path=plan_path, skipped=[])
    return Download(source, folder, files, manifest, scratch)


def fetch(download: Download) -> Outcome:
    """Carry the plan out; the manifest comes last, the one that the plan was made for, so that it has all its images
    beside it."""
    crew = download.source.haul.crew(download.totals.to_send)
    outcome = fetch_plan(download.files, download.source.store, download.folder, crew)
    if outcome.complete and download.manifest is not None:
        for name in MANIFEST_NAMES:
            try:
                write_bytes_atomically(download.folder / name, (download.scratch / name).read_bytes())
            except CxrError as error:
                return replace(outcome, afterwards=(Failure(name, error),))
    return outcome


def _something(source: Destination) -> Iterator[ObjectInfo]:
    empty = True
    for info in source.store.list():
        empty = False
        yield info
    if empty:
        raise NotFound(f"there is nothing at {source.url}", hint="name another place with --from URL")


def _images_of(manifest: Manifest, source: Destination) -> Iterator[ObjectInfo]:
    missing, different = [], []
    wanted = (LocalFile(name, Path(), digest) for name, digest in _wanted(manifest))
    for file, info in side_by_side(wanted, source.store.list(f"{IMAGES}/")):
        if file is None:
            continue  # an orphan: the manifest does not know it
        if info is None:
            missing.append(file.name)
        elif info.holds(file.digest) is False and not _looks_right(source, file):
            different.append(file.name)
        else:
            crc32c = file.digest.crc32c or info.crc32c
            yield ObjectInfo(info.name, info.size, crc32c, info.version, file.digest.md5)
    told = [
        f"{len(names):,} images of the manifest {what} ({', '.join(names[:_SHOWN])})"
        for names, what in ((missing, "are not there"), (different, "have other bytes than when they were scanned"))
        if names
    ]
    if told:
        raise CheckFailed(f"{source.url}: {'; '.join(told)}", hint="send them again: cxr cloud upload")


def _looks_right(source: Destination, file: LocalFile) -> bool:
    # The md5 of a listing may be none (S3, objects encrypted in different ways): the object itself is asked.
    found = source.store.stat(file.name)
    return found is not None and found.holds(file.digest) is not False


def _wanted(manifest: Manifest) -> Iterator[tuple[str, Digest]]:
    frame = manifest.frame.sort_values("path", kind="stable")
    columns = (frame[name] for name in ("path", "size", "crc32c", "md5", "sha256"))
    for path, size, crc32c, md5, sha256 in zip(*columns, strict=True):
        yield f"{IMAGES}/{path}", Digest(int(size), crc32c, md5, sha256)
