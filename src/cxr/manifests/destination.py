"""Whether the images of a manifest lie where a service is to read them: one listing, compared by size and checksum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import compress
from typing import Final

import numpy as np

from cxr.errors import CheckFailed, NotFound
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress, silent
from cxr.storage import Listing, ObjectInfo

#: Names that a message shows.
SHOWN_NAMES: Final = 3
_PROGRESS_OBJECTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Destination:
    """The images with a split against a listing: how many there are, which have no object, and which have one of
    another size or checksum (paths, sorted)."""

    url: str
    images: int
    missing: tuple[str, ...]
    different: tuple[str, ...]

    def require_all(self) -> None:
        """Raises CheckFailed, with counts and the first names, when not every image is there as it was scanned."""
        if not self.missing and not self.different:
            return
        told = [
            f"{len(paths):,} of {self.images:,} images {what} ({_first(paths)})"
            for paths, what in (
                (self.missing, f"are not at {self.url}"),
                (self.different, f"have other bytes at {self.url} than when they were scanned"),
            )
            if paths
        ]
        raise CheckFailed("; ".join(told), hint=f"send them first: {self._upload}")

    @property
    def _upload(self) -> str:
        return f"aws s3 sync DIR {self.url}" if self.url.startswith("s3://") else "cxr cloud upload"


def compare_with_listing(manifest: Manifest, place: Listing, *, on_progress: Progress = silent) -> Destination:
    """List `place` once and compare by size and by crc32c or md5, as far as both sides tell them. Where there is no
    bucket all images are missing.

    Raises what the place's `list` raises.
    """
    used = manifest.frame[manifest.frame["split"] != ""]
    paths = used["path"].tolist()
    rows = {path: row for row, path in enumerate(paths)}
    sizes = used["size"].to_numpy()
    checksums = [used[column].to_numpy(dtype=object) for column in ("crc32c", "md5")]
    seen, differs = np.zeros(len(paths), dtype=bool), np.zeros(len(paths), dtype=bool)
    for listed, info in enumerate(_objects(place), 1):
        row = rows.get(info.name)
        if row is not None:
            seen[row] = True
            crc32c, md5 = (values[row] for values in checksums)
            differs[row] = _differs(int(sizes[row]), crc32c, md5, info)
        if listed % _PROGRESS_OBJECTS == 0:
            on_progress(min(listed, len(paths)), len(paths), "")
    return Destination(place.url, len(paths), tuple(compress(paths, ~seen)), tuple(compress(paths, differs)))


def _objects(place: Listing) -> Iterator[ObjectInfo]:
    try:
        yield from place.list()
    except NotFound:
        return


def _differs(size: int, crc32c: str, md5: str, stored: ObjectInfo) -> bool:
    if size and size != stored.size:
        return True
    known = ((crc32c, stored.crc32c), (md5, stored.md5))
    return any(scanned and found and scanned != found for scanned, found in known)


def _first(paths: tuple[str, ...]) -> str:
    more = ", …" if len(paths) > SHOWN_NAMES else ""
    return ", ".join(paths[:SHOWN_NAMES]) + more
