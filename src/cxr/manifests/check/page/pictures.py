"""Small pictures for the page: samples of each split and label, and the groups of duplicates."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
from PIL import Image

from cxr.manifests.check.looks import grey
from cxr.manifests.manifest import SPLITS, Manifest
from cxr.manifests.scan.image_file import DECODE_ERRORS, FORMATS

SAMPLES: Final = 6
#: Labels on the sheet, the most frequent first.
MAX_LABELS: Final = 12
MAX_GROUPS: Final = 24
MAX_MEMBERS: Final = 6
#: Pixels of the longer side: twice what is shown, for sharp screens.
SAMPLE_SIDE: Final = 224
MEMBER_SIDE: Final = 176
JPEG_QUALITY: Final = 72


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of the manifest; `uri` is a JPEG as a data URI, empty where the file cannot be shown."""

    path: str
    split: str
    label: str
    uri: str

    @property
    def alt(self) -> str:
        """What a screen reader says."""
        return f"{self.label}, {self.split or 'unused'}: {self.path}"


@dataclass(frozen=True, slots=True)
class Strip:
    """Samples of one split and label, of `images` in all."""

    split: str
    label: str
    images: int
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Images that are copies of each other: `kind` same or near; the first `pictures` of `images`."""

    key: str
    kind: str
    images: int
    pictures: tuple[Picture, ...]
    two_labels: bool
    two_splits: bool


def contact_sheet(manifest: Manifest, seed: int) -> list[Strip]:
    """A few images of each split and label, drawn by `seed`, whatever the order of the rows."""
    root = manifest.root
    frame = manifest.frame
    labels = sorted(frame["label"].value_counts().index[:MAX_LABELS])
    strips = []
    for split in (*SPLITS, ""):
        for label in labels:
            rows = frame[(frame["split"] == split) & (frame["label"] == label)]
            if len(rows):
                drawn = rows.sample(min(SAMPLES, len(rows)), random_state=seed).sort_values("path")
                strips.append(Strip(split, label, len(rows), _pictures(root, drawn, SAMPLE_SIDE)))
    return strips


def duplicate_groups(manifest: Manifest) -> tuple[list[Group], int]:
    """The first groups side by side, those under two labels or in two splits before all others, and how many there
    are in all."""
    copies = manifest.frame[manifest.frame["duplicate_group"] != ""]
    found = copies.groupby("duplicate_group")[["label", "split"]].nunique()
    order = pd.DataFrame(
        {"labels": found["label"] > 1, "splits": found["split"] > 1, "near": found.index.str.startswith("near:")}
    ).sort_values(["labels", "splits", "near"], ascending=False, kind="stable")
    groups = []
    for key in order.index[:MAX_GROUPS]:
        rows = copies[copies["duplicate_group"] == key]
        groups.append(
            Group(
                key=str(key),
                kind=str(key).partition(":")[0],
                images=len(rows),
                pictures=_pictures(manifest.root, rows.head(MAX_MEMBERS), MEMBER_SIDE),
                two_labels=bool(order["labels"][key]),
                two_splits=bool(order["splits"][key]),
            )
        )
    return groups, len(order)


def _pictures(root: Path, rows: pd.DataFrame, side: int) -> tuple[Picture, ...]:
    return tuple(
        Picture(path, split, label, _data_uri(root / path, side))
        for path, split, label in zip(rows["path"], rows["split"], rows["label"], strict=True)
    )


def _data_uri(path: Path, side: int) -> str:
    stream = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd tags
            with Image.open(path, formats=FORMATS) as image:
                image.draft("L", (side, side))
                plain = grey(image)
        plain.thumbnail((side, side))
        # No EXIF and no other tag of the original is written.
        plain.save(stream, format="JPEG", quality=JPEG_QUALITY, optimize=True)
    except DECODE_ERRORS:
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
