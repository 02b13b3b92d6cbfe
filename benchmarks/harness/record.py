"""The record of one script's run: its results, on which machine, when, with which versions, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.result import Result

SCHEMA, SCHEMA_VERSION = "cxr.benchmark", 1


@dataclass(frozen=True, slots=True)
class Record:
    """`arguments` are those of its command line; `absent` says of each peer that was not measured why; `failure` is why
    the run did not come to its end (results until then are kept)."""

    script: str
    arguments: tuple[str, ...]
    quick: bool
    started: str
    seconds: float
    load: float
    commit: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    results: tuple[Result, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failure: str = ""

    @property
    def command(self) -> str:
        """What makes this record anew."""
        return " ".join(("python", f"benchmarks/{self.script}.py", *self.arguments))

    def as_json(self) -> dict[str, Any]:
        """The document."""
        results = [result.as_json() for result in self.results]
        return {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(self), "results": results}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Record:
        """What `as_json` made. Raises ValueError for another document."""
        if (document.get("schema"), document.get("schema_version")) != (SCHEMA, SCHEMA_VERSION):
            raise ValueError("not the record of a benchmark")
        try:
            fields = {name: document[name] for name in cls.__slots__}
            results = tuple(Result.from_json(each) for each in fields["results"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"a damaged record of a benchmark: {error}") from error
        tuples = {name: tuple(fields[name]) for name in ("arguments", "notes")}
        return cls(**{**fields, **tuples, "results": results})


def write_record(record: Record, path: Path) -> None:
    """Write it whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record.as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def read_record(path: Path) -> Record | None:
    """The record in a file; None when there is none. Raises ValueError for a file that is none."""
    try:
        return Record.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
