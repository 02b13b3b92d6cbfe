"""The stand-in's input: one JSON line an image, with its place, label and split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cxr.errors import InputError

TRAINING, VALIDATION, TEST = "training", "validation", "test"
#: One training image in this many becomes a validation image when the data set has none.
VALIDATION_PART = 10


@dataclass(frozen=True, slots=True)
class Item:
    """One image: gs:// URL (or a path), label, and training, validation or test."""

    uri: str
    label: str
    ml_use: str


def read_items(path: Path) -> list[Item]:
    """Read and check the list; items without a split are left out, as the service does.

    Raises InputError naming the line, or when there is one label only, or nothing to train on.
    """
    items = [item for item in _parsed(path) if item.ml_use in {TRAINING, VALIDATION, TEST}]
    items = _with_validation(items)
    for ml_use in (TRAINING, VALIDATION):
        labels = {item.label for item in items if item.ml_use == ml_use}
        if len(labels) < 2:
            raise InputError(
                f"the {ml_use} items have {len(labels)} labels; two are needed: {', '.join(sorted(labels))}"
            )
    return items


def labels_of(items: Sequence[Item]) -> tuple[str, ...]:
    """The labels of the training items, sorted: the order of the scores."""
    return tuple(sorted({item.label for item in items if item.ml_use == TRAINING}))


def _parsed(path: Path) -> list[Item]:
    items = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the items {path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            items.append(Item(str(raw["uri"]), str(raw["label"]), str(raw.get("ml_use") or "")))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}, line {number} is not an item: {error}") from error
    return items


def _with_validation(items: Sequence[Item]) -> list[Item]:
    """Turn a tenth of the training items into validation items when there are none, chosen by the hash of the place."""
    if any(item.ml_use == VALIDATION for item in items):
        return list(items)

    def chosen(item: Item) -> bool:
        return int(hashlib.sha256(item.uri.encode()).hexdigest(), 16) % VALIDATION_PART == 0

    return [replace(item, ml_use=VALIDATION) if item.ml_use == TRAINING and chosen(item) else item for item in items]
