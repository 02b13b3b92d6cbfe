"""What a scan saw, kept beside the manifest (`manifest.csv` -> `manifest.scan.csv`), so that the next one reads only
what changed. It is a cache: safe to delete, and not part of the manifest's hash.

The first line is `# ` and a JSON header (versions, options, checksum, near-duplicate verdicts); CSV rows follow, one a
file. A file counts as unchanged when path, size, modification time and inode are the same, unless it was modified less
than RACY_NS before the scan began: it may have been written again within the same tick of the clock (as git's "racily
clean" entries).
"""

from __future__ import annotations

import io
import json
import os
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import __version__ as pillow_version

from cxr.documents import parse_json
from cxr.files import atomic_path
from cxr.manifests.duplicates.near import NearDuplicates
from cxr.manifests.manifest import Problem
from cxr.manifests.scan.image_file import ImageFacts, Reading
from cxr.manifests.scan.problems import problem
from cxr.manifests.scan.tree import TreeFile
from cxr.version import __version__

RECORD_VERSION: Final = 2
#: The coarsest clock of a file system in use (FAT) ticks every 2 s.
RACY_NS: Final = 2_000_000_000
#: The time of a file whose row is not to be used again; no file that is listed has it.
NEVER_NS: Final = -(2**63)
#: Column -> dtype. A file that is no usable image has width 0. `problems`: a JSON list of [rule, message], or empty.
COLUMNS: Final[dict[str, str]] = {
    "path": "str",
    "mtime_ns": "int64",
    "inode": "uint64",
    "width": "int64",
    "height": "int64",
    "mode": "str",
    "format": "str",
    "orientation": "int64",
    "size": "int64",
    "sha256": "str",
    "md5": "str",
    "crc32c": "str",
    "perceptual_hash": "str",
    "problems": "str",
}
_WHOLE: Final = [name for name, dtype in COLUMNS.items() if dtype != "str"]
_MARK: Final = b"# "


@dataclass(frozen=True)
class ScanRecord:
    """Rows (a frame with COLUMNS, sorted by path) of the files below `root` (absolute), as read from `began_ns` on
    (Unix time in nanoseconds), and what was found out about near-duplicates."""

    root: Path
    reading: Reading
    began_ns: int
    frame: pd.DataFrame
    near: NearDuplicates | None = None
    versions: tuple[str, str] = field(default=(__version__, pillow_version))

    def serves(self, root: Path, reading: Reading) -> bool:
        """Whether a scan of `root` by `reading` would see the same in an unchanged file."""
        return (
            self.root == root
            and self.versions == (__version__, pillow_version)
            and self.reading.decode == reading.decode
            and (self.reading.hashed or not reading.hashed)
        )

    def unchanged(self, files: pd.DataFrame) -> npt.NDArray[np.int64]:
        """For each of `files` (path, size, mtime_ns, inode) the number of its row here, or -1 when it is new or may
        have changed."""
        places = pd.Index(self.frame["path"]).get_indexer(pd.Index(files["path"]))
        rows = self.frame.iloc[np.maximum(places, 0)] if len(self.frame) else None
        if rows is None:
            return np.asarray(places, dtype=np.int64)
        same = places >= 0
        for column in ("size", "mtime_ns", "inode"):
            same &= rows[column].to_numpy() == files[column].to_numpy()
        same &= rows["mtime_ns"].to_numpy() < self.began_ns - RACY_NS
        return np.asarray(np.where(same, places, -1), dtype=np.int64)


def record_path_of(manifest_path: Path) -> Path:
    """The record's file: `manifest.csv` -> `manifest.scan.csv`."""
    return manifest_path.with_suffix(".scan.csv")


def row_of(file: TreeFile, facts: ImageFacts | None, found: list[Problem]) -> list[Any]:
    """One row: the file as it was when it was listed, and what was read. The next scan reads it again when it could not
    be read, or had changed by then."""
    words = json.dumps([[one.rule, one.message] for one in found]) if found else ""
    failed = any(one.rule == "unreadable" for one in found)
    if facts is None:
        mtime_ns = NEVER_NS if failed else file.mtime_ns
        return [file.relative, mtime_ns, file.inode, 0, 0, "", "", 0, file.size, "", "", "", "", words]
    return [
        file.relative,
        NEVER_NS if failed or facts.size != file.size else file.mtime_ns,
        file.inode,
        facts.width,
        facts.height,
        facts.mode,
        facts.format,
        facts.orientation,
        facts.size,
        facts.sha256,
        facts.md5,
        facts.crc32c,
        facts.perceptual_hash,
        words,
    ]


def frame_of(rows: list[list[Any]]) -> pd.DataFrame:
    """Rows as a frame."""
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({name: COLUMNS[name] for name in _WHOLE})


def problems_of(frame: pd.DataFrame) -> list[Problem]:
    """The problems that the rows tell of, in the order of the rows."""
    told = frame[frame["problems"] != ""]
    return [
        problem(rule, path, message)
        for path, words in zip(told["path"], told["problems"], strict=True)
        for rule, message in parse_json(words)
    ]


def write_record(record: ScanRecord, path: Path) -> None:
    """Write the record whole. Raises NotAllowed or Fault when the disk refuses."""
    body = record.frame[list(COLUMNS)].to_csv(index=False, lineterminator="\n").encode()
    near = record.near
    header = {
        "record_version": RECORD_VERSION,
        "versions": record.versions,
        "root": os.path.relpath(record.root, path.parent.resolve()),
        "reading": asdict(record.reading),
        "began_ns": record.began_ns,
        "crc32": zlib.crc32(body),
        "near": near
        and {
            "digest": near.digest,
            "complete": near.complete,
            "verdicts": [[*pair, correlation] for pair, correlation in near.verdicts.items()],
        },
    }
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(_MARK + json.dumps(header).encode() + b"\n")
        stream.write(body)


def read_record(path: Path) -> tuple[ScanRecord | None, str]:
    """A record, or None and why there is none that can be used; no reason where there simply is no file."""
    try:
        first, _, body = path.read_bytes().partition(b"\n")
        if not first.startswith(_MARK):
            return None, f"{path} is not the record of a scan"
        header = parse_json(first.removeprefix(_MARK))
        if header["record_version"] != RECORD_VERSION:
            return None, f"{path} was written by another version of cxr"
        if zlib.crc32(body) != header["crc32"]:
            return None, f"{path} is torn or was edited"
        dtypes: Any = COLUMNS
        frame = pd.read_csv(io.BytesIO(body), dtype=dtypes, keep_default_na=False, na_filter=False)
        if list(frame.columns) != list(COLUMNS):
            return None, f"{path} is not the record of a scan"
        root = Path(os.path.normpath(path.parent.resolve() / header["root"]))
        versions = tuple(map(str, header["versions"]))
        near = _near(header["near"])
        reading = Reading(**header["reading"])
        return ScanRecord(root, reading, int(header["began_ns"]), frame, near, (versions[0], versions[1])), ""
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        return None, f"{path} cannot be read: {' '.join(str(error).split())[:160]}"


def _near(found: dict[str, Any] | None) -> NearDuplicates | None:
    if found is None:
        return None
    verdicts = {(str(left), str(right)): float(value) for left, right, value in found["verdicts"]}
    return NearDuplicates(verdicts, bool(found["complete"]), str(found["digest"]))
