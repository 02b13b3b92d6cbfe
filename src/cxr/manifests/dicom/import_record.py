"""What was imported into a folder: under which salt, and from which bytes each picture was made.

`OUT-import.jsonl` lies beside OUT. Its first line has a check value of the salt, each further line a picture and a key
of its source's bytes; both are HMACs, and tell nothing without the salt. The file only grows during a run, so that the
run after a kill goes on.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from cxr.documents import parse_json
from cxr.errors import Fault, InputError, NotAllowed, UsageError
from cxr.files import atomic_path
from cxr.manifests.dicom.places import record_beside
from cxr.manifests.dicom.pseudonyms import Pseudonyms

SCHEMA_VERSION: Final = 1


class ImportRecord:
    """The record of one folder while an import is running."""

    def __init__(self, stream: TextIO, path: Path, sources: Mapping[str, str]) -> None:
        self._stream = stream
        self._path = path
        self._sources = sources
        self._lock = threading.Lock()

    def was_made_from(self, target: str, source: str) -> bool:
        """Whether an earlier run made the picture from the bytes with this key."""
        return self._sources.get(target) == source

    def add(self, target: str, source: str) -> None:
        """Note a picture that is in its place now, from any thread. Raises Fault when the disk refuses."""
        try:
            with self._lock:
                self._stream.write(_line({"target": target, "source": source}))
                self._stream.flush()
        except OSError as error:
            raise Fault(f"cannot write {self._path}: {error.strerror or error}") from error


def has_pictures(out: Path) -> bool:
    """Whether there is a PNG anywhere below a folder."""
    return next(out.rglob("*.png"), None) is not None


def read_record(out: Path, names: Pseudonyms) -> dict[str, str]:
    """The pictures (relative to `out`) of earlier imports, each with the key of its source's bytes.

    Empty when the folder has no pictures: then any salt may begin. A torn last line (the run was killed) is left out.
    Raises UsageError when the pictures were made under another salt or have no record, InputError when the record is
    none, NotAllowed without permission.
    """
    path = record_beside(out)
    if not has_pictures(out):
        return {}
    try:
        first, *lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    except FileNotFoundError:
        raise UsageError(
            f"{out} has pictures, but there is no record {path} of the salt that they were named with",
            hint="put the record back beside them, or name another --out",
        ) from None
    except PermissionError as error:
        raise NotAllowed(f"no permission to read {path}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if _salt_check(first, path) != names.check:
        raise UsageError(
            f"the pictures in {out} were named with another salt; under this one its patients would get second keys",
            hint="name the earlier salt, --salt-file FILE, or another --out",
        )
    return dict(_pictures(lines))


@contextmanager
def growing_record(out: Path, names: Pseudonyms) -> Iterator[ImportRecord]:
    """The record of `out`, begun or gone on with. Raises as `read_record` does, Fault when it cannot be written."""
    sources = read_record(out, names)
    path = record_beside(out)
    lines = [{"schema_version": SCHEMA_VERSION, "salt_check": names.check}]
    lines += [{"target": target, "source": source} for target, source in sorted(sources.items())]
    # It leads from pictures back to the files of patients: nobody else's business, like the salt.
    with atomic_path(path, mode=0o600) as temporary:
        temporary.write_text("".join(map(_line, lines)), encoding="utf-8")
    try:
        stream = path.open("a", encoding="utf-8")
    except OSError as error:
        raise Fault(f"cannot write {path}: {error.strerror or error}") from error
    with stream:
        yield ImportRecord(stream, path, sources)


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False) + "\n"


def _salt_check(first: str, path: Path) -> str:
    try:
        header = parse_json(first)
        if header["schema_version"] != SCHEMA_VERSION:
            raise InputError(f"{path} has schema version {header['schema_version']}; this cxr reads {SCHEMA_VERSION}")
        return str(header["salt_check"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not the record of an import", hint="put the right one back, or name another --out"
        ) from error


def _pictures(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        try:
            content = parse_json(line)
            yield str(content["target"]), str(content["source"])
        except (ValueError, KeyError, TypeError):
            return
