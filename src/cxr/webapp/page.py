"""page.json: what the page in the browser knows of its model. `webapp/src/core/contract.ts` reads it.

Invariants: paths are relative to the page; the threshold is on calibrated probabilities, which the model gives by
itself or, where `temperature` is a number, the page makes of the model's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cxr.documents import parse_json
from cxr.errors import InputError

PAGE_FILE = "page.json"
SCHEMA_VERSION = 1

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class KnownFiles:
    """The training images, by the first `prefix_bytes` bytes of their SHA-256, sorted, in one file without anything
    between. `path` is None when the page was built without the manifest."""

    path: str | None
    prefix_bytes: int
    count: int


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure of an evaluation with its interval; `share`: to be shown in percent."""

    name: str
    value: float
    low: float | None
    high: float | None
    share: bool


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures, and the sentence that says on what they were measured."""

    caption: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """The model card: one sentence, and rows of words (name, value) on the model, its data and this build."""

    summary: str
    about: Rows
    data: Rows
    build: Rows


@dataclass(frozen=True, slots=True)
class PageModel:
    """The TF.js graph model: the folder's path within the page, bytes of all its files, and whether it has a second
    output with class activation maps."""

    path: str
    bytes: int
    has_maps: bool


@dataclass(frozen=True, slots=True)
class PageDescription:
    """All of page.json. `preprocessing`, `threshold` and `gate` are plain values; `gate` (does this look like a chest
    X-ray?) is None when the page was built without training images."""

    name: str
    classes: tuple[str, ...]
    positive_class: str
    preprocessing: Mapping[str, Any]
    threshold: Mapping[str, Any]
    temperature: float | None
    model: PageModel
    known: KnownFiles
    gate: Mapping[str, Any] | None
    metrics: Metrics | None
    card: Card
    built_by: str
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """The text of page.json."""
        return json.dumps(asdict(self), separators=(",", ":"), allow_nan=False) + "\n"


def read_page(folder: Path) -> Mapping[str, Any]:
    """page.json of a built page, as plain values. Raises InputError when there is none or it is of another version."""
    path = folder / PAGE_FILE
    try:
        raw = parse_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder} is not a page: it has no {PAGE_FILE}", hint="make one: cxr web build BUNDLE OUT"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    found = raw.get("schema_version") if isinstance(raw, dict) else None
    if found != SCHEMA_VERSION:
        raise InputError(f"{path}: schema version {found!r}, this program knows {SCHEMA_VERSION}")
    return dict(raw)
