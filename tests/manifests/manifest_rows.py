"""Manifests made from rows alone, for the tests that need no images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pandas as pd

from cxr.manifests.manifest import COLUMNS, Manifest, ManifestHeader, new_manifest


def row(path: str, label: str, **others: object) -> dict[str, object]:
    """One manifest row; what is not given is made from the path."""
    made: dict[str, object] = {
        "path": path,
        "label": label,
        "etiology": "",
        "patient": f"image:{path}",
        "split": "train",
        "fold": "",
        "width": 224,
        "height": 200,
        "mode": "L",
        "format": "JPEG",
        "orientation": 1,
        "size": 7000,
        "sha256": hashlib.sha256(path.encode()).hexdigest(),
        "md5": hashlib.md5(path.encode()).hexdigest(),
        "crc32c": "AAAAAA==",
        "duplicate_group": "",
    }
    return made | others


def manifest_of(rows: Sequence[dict[str, object]], **header: object) -> Manifest:
    """A manifest of these rows, rooted in `images`."""
    return new_manifest(pd.DataFrame(rows, columns=list(COLUMNS)), ManifestHeader(root="images", **header))
