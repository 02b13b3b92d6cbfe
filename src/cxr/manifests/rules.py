"""The rules of `cxr data check`, as a table: an id, a severity, what to do, and a test that yields what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal

import pandas as pd

from cxr.manifests.labels import is_legal_label, legal_label
from cxr.manifests.manifest import SPLITS, Manifest
from cxr.manifests.patients import READINGS, patient_of, patient_overlap

Severity = Literal["error", "warning"]

#: Vertex AI's limits for image classification (documents read November 2026).
VERTEX_MIN_IMAGES_PER_LABEL: Final = 10
VERTEX_MAX_IMBALANCE: Final = 100
VERTEX_MAX_IMAGE_BYTES: Final = 30 * 1024 * 1024
VERTEX_SUFFIXES: Final = frozenset({".jpeg", ".jpg", ".jpe", ".gif", ".png", ".bmp", ".ico"})
#: Below this one image is worth more than two percentage points.
MIN_VALIDATION_IMAGES: Final = 50


#: What a rule's test yields: a message, and paths for example.
Hits = Iterator[tuple[str, Iterable[str]]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One check: its test yields a message and example paths for each thing found."""

    id: str
    severity: Severity
    fix: str
    test: Callable[[Manifest], Hits]


def _few_labels(manifest: Manifest) -> Hits:
    if len(manifest.classes) < 2:
        yield f"there is only one label, {manifest.classes[0]!r}", ()


def _illegal_labels(manifest: Manifest) -> Hits:
    for label in manifest.classes:
        if not is_legal_label(label):
            yield f"Vertex AI refuses the label {label!r}; it would take {legal_label(label)!r}", ()


def _patients_across_splits(manifest: Manifest) -> Hits:
    for left, right, shared in _shared(manifest.frame, "patient"):
        rows = manifest.frame[manifest.frame["patient"].isin(shared)]
        key = manifest.header.patient_key
        yield f"{_count(len(shared), 'patient')} in {left} and also in {right} (patient key {key})", rows["path"]


def _patients_across_splits_otherwise(manifest: Manifest) -> Hits:
    """The reading that the manifest does not use, with the sentence that explains the difference."""
    paths = {split: list(manifest.split(split)["path"]) for split in SPLITS}
    for reading in READINGS:
        if reading == manifest.header.patient_key:
            continue
        overlaps = [patient_overlap(paths[left], paths[right], reading, (left, right)) for left, right in _pairs()]
        overlaps = [overlap for overlap in overlaps if overlap.shared]
        if not overlaps:
            continue
        found = ", ".join(
            f"{len(overlap.shared):,} of {overlap.right_patients:,} in {overlap.right} also in {overlap.left}"
            for overlap in overlaps
        )
        shared, right = set(overlaps[0].shared), overlaps[0].right
        examples = (path for path in paths[right] if patient_of(path, reading).key in shared)
        yield f"numbered patients read by {reading}: {found}; {_WHY_TWO_READINGS}", examples


_WHY_TWO_READINGS: Final = (
    "but the release numbers bacterial and viral patients apart, so one number under two etiologies is two children"
)


def _bytes_across_splits(manifest: Manifest) -> Hits:
    for left, right, shared in _shared(manifest.frame, "sha256"):
        rows = manifest.frame[manifest.frame["sha256"].isin(shared)]
        yield f"{_count(len(shared), 'image')} in {left} and also, byte for byte, in {right}", rows["path"]


def _bytes_under_two_labels(manifest: Manifest) -> Hits:
    copies = manifest.frame[manifest.frame["duplicate_group"] != ""]
    labels = copies.groupby("duplicate_group")["label"].nunique()
    torn = labels[labels > 1].index
    if len(torn):
        paths = copies["path"][copies["duplicate_group"].isin(torn)]
        yield f"{_count(len(torn), 'image')}, byte for byte the same, under two labels", paths


def _repeats(manifest: Manifest) -> Hits:
    copies = manifest.frame[manifest.frame["duplicate_group"] != ""]
    surplus = len(copies) - copies["duplicate_group"].nunique()
    if surplus:
        yield f"{_count(surplus, 'byte-identical repeat')}; Vertex AI drops all but the first", copies["path"]


def _few_images(manifest: Manifest) -> Hits:
    train = manifest.split("train")["label"].value_counts()
    for label in manifest.classes:
        count = int(train.get(label, 0))
        if count < VERTEX_MIN_IMAGES_PER_LABEL:
            yield f"{label!r} has {count} images in train; at least {VERTEX_MIN_IMAGES_PER_LABEL} are needed", ()


def _imbalance(manifest: Manifest) -> Hits:
    counts = manifest.split("train")["label"].value_counts()
    if len(counts) > 1 and counts.max() > VERTEX_MAX_IMBALANCE * counts.min():
        ratio = counts.max() / counts.min()
        yield f"{counts.idxmax()!r} has {ratio:,.0f} times as many train images as {counts.idxmin()!r}", ()


def _validation_split(manifest: Manifest) -> Hits:
    count = len(manifest.split("validation"))
    if count == 0:
        yield "there is no validation split to choose a model or a threshold on", ()
    elif count < MIN_VALIDATION_IMAGES:
        yield f"the validation split has {count} images: one image is {100 / count:.1f} percentage points", ()


def _test_split(manifest: Manifest) -> Hits:
    if manifest.split("test").empty:
        yield "there is no test split: no result can be reported", ()


def _formats(manifest: Manifest) -> Hits:
    paths = manifest.frame["path"]
    refused = paths[~paths.map(lambda path: PurePosixPath(path).suffix.lower() in VERTEX_SUFFIXES)]
    if len(refused):
        yield f"{_count(len(refused), 'image')} in a format that Vertex AI does not import", refused


def _sizes(manifest: Manifest) -> Hits:
    large = manifest.frame["path"][manifest.frame["size"] > VERTEX_MAX_IMAGE_BYTES]
    if len(large):
        yield f"{_count(len(large), 'image')} larger than Vertex AI's 30 MB", large


def _unused(manifest: Manifest) -> Hits:
    unused = manifest.frame["path"][manifest.frame["split"] == ""]
    if len(unused):
        yield f"{_count(len(unused), 'image')} in no split (their patients also occur in test)", unused


def _shared(frame: pd.DataFrame, column: str) -> Iterator[tuple[str, str, set[str]]]:
    values = {split: set(frame[column][frame["split"] == split]) for split in SPLITS}
    for left, right in _pairs():
        if shared := values[left] & values[right]:
            yield left, right, shared


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _pairs() -> tuple[tuple[str, str], ...]:
    return (("train", "test"), ("validation", "test"), ("train", "validation"))


_SPLIT_AGAIN: Final = "make a grouped split: cxr data split"

RULES: Final = (
    Rule("one-label", "error", "scan a folder with at least two labels", _few_labels),
    Rule("label-spelling", "error", "rename the folder, then scan again: cxr data scan DIR", _illegal_labels),
    Rule("patient-in-two-splits", "error", _SPLIT_AGAIN, _patients_across_splits),
    Rule(
        "patient-in-two-splits-otherwise",
        "warning",
        "nothing to do; to be conservative: cxr data scan DIR --patient-key number",
        _patients_across_splits_otherwise,
    ),
    Rule("bytes-in-two-splits", "error", _SPLIT_AGAIN, _bytes_across_splits),
    Rule(
        "bytes-under-two-labels",
        "error",
        "decide for one label, delete the other file, then scan again",
        _bytes_under_two_labels,
    ),
    Rule("repeated-images", "warning", "nothing to do: copies stay together in one split", _repeats),
    Rule("few-images", "error", "add images of this label, then scan again", _few_images),
    Rule("imbalance", "warning", "add images of the rarer label, or weight the classes", _imbalance),
    Rule("validation-split", "warning", _SPLIT_AGAIN, _validation_split),
    Rule("test-split", "warning", "keep some patients' images aside in a test folder, then scan again", _test_split),
    Rule("vertex-format", "warning", "convert them to PNG or JPEG before an upload to Vertex AI", _formats),
    Rule("vertex-size", "warning", "make them smaller before an upload to Vertex AI", _sizes),
    Rule("unused-images", "warning", "nothing to do: test stays as it is, and they must not be trained on", _unused),
)
