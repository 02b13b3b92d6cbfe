"""Saved plans of every kind are JSON files with a schema: how they are told from other files, and read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.documents import parse_json
from cxr.errors import InputError, UsageError


@dataclass(frozen=True, slots=True)
class PlanSchema:
    """A kind of saved plan. `words` name it to users; what is longer than `maximum_bytes` is something else."""

    schema: str
    version: int
    words: str
    maximum_bytes: int

    @property
    def header(self) -> dict[str, Any]:
        """What every such file begins with."""
        return {"schema": self.schema, "schema_version": self.version}

    def check_replaceable(self, path: Path) -> None:
        """Raises UsageError for a file that is there and is no such plan."""
        if not path.exists():
            return
        try:
            document = parse_json(path.read_bytes()) if path.stat().st_size <= self.maximum_bytes else None
        except (OSError, ValueError):
            document = None
        if not isinstance(document, dict) or document.get("schema") != self.schema:
            raise UsageError(f"{path} is there and is no {self.words}", hint="choose another name for the plan")

    def read(self, path: Path, save: str) -> dict[str, Any]:
        """The document of such a plan. Raises InputError for anything else (`save` is the command that makes one), and
        for one of another version."""
        try:
            raw = path.read_bytes()
            document = parse_json(raw) if len(raw) <= self.maximum_bytes else None
        except OSError as error:
            raise InputError(f"cannot read the plan {path}: {error.strerror}") from error
        except ValueError as error:
            raise InputError(f"{path} is not JSON: {error}") from error
        if not isinstance(document, dict) or document.get("schema") != self.schema:
            raise InputError(f"{path} is not a saved {self.words}", hint=f"save one: {save}")
        if document.get("schema_version") != self.version:
            raise InputError(f"{path} was saved by another version of cxr", hint="make the plan anew")
        return document
