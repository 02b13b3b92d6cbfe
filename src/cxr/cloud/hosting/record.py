"""What hosting left in a bucket, kept beside the page: only what is named here is ever replaced or deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cxr.documents import parse_json
from cxr.errors import InputError

RECORD = "hosted.json"
SCHEMA, SCHEMA_VERSION = "cxr.hosted-page", 1


@dataclass(frozen=True, slots=True)
class Record:
    """The files of a hosted page (paths below its prefix); whether its bucket was made for it; once it was made public,
    how the bucket was before (`before`: values as the host itself writes them); and once a machine was asked for that
    serves it, which (`server`: see cxr.cloud.hosting.machine)."""

    files: tuple[str, ...] = ()
    made_bucket: bool = False
    before: Mapping[str, Any] | None = None
    server: Mapping[str, Any] | None = None

    def to_json(self) -> bytes:
        """The bytes of the record."""
        return (json.dumps({"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(self)}) + "\n").encode()


def read_record(data: bytes, place: str) -> Record:
    """Raises InputError for what is no record, or one of another version."""
    try:
        raw = parse_json(data)
        if (raw["schema"], raw["schema_version"]) != (SCHEMA, SCHEMA_VERSION):
            raise ValueError(f"schema {raw['schema']!r}, version {raw['schema_version']!r}")
        files = tuple(raw["files"])
        if not all(isinstance(name, str) and name for name in files):
            raise ValueError("files must be names")
        before, server = raw["before"], raw.get("server")
        if not all(one is None or isinstance(one, dict) for one in (before, server)):
            raise ValueError("before and server must be tables")
        return Record(files, bool(raw["made_bucket"]), before, server)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{place}/{RECORD} is not the record of a hosted page: {error}", hint="choose another --prefix"
        ) from error
