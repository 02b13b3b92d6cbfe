"""Rules on what stands on both sides of a split: patients, bytes, near-duplicates."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final

import pandas as pd

from cxr.manifests.check.nouns import Hits, Rule, counted
from cxr.manifests.manifest import SPLITS, Manifest
from cxr.manifests.patients.keys import READINGS, WHY_TWO_READINGS, Overlap, overlaps, patient_of

_SPLIT_AGAIN: Final = "make a grouped split: cxr data split"
#: Only these names are read differently by the readings: all others need not be parsed.
_NUMBERED: Final = r"person[0-9]+_(?:bacteria|virus)_"


def readings_of_test(manifest: Manifest) -> tuple[Overlap, ...]:
    """The patients of test that are also in train, by each reading of the names; none where no name of test tells a
    patient by any of the known patterns."""
    paths = {split: manifest.split(split)["path"] for split in ("train", "test")}
    if not any(patient_of(path).known for path in paths["test"]):
        return ()
    return tuple(overlap for reading in READINGS for overlap in overlaps(paths, reading))


def content_key(frame: pd.DataFrame) -> pd.Series:
    """What tells a file's bytes: the sha256 where every row has one, else md5, else crc32c and size (a listing gives
    one of them), else the group of equal bytes; empty where nothing is known."""
    for column in ("sha256", "md5"):
        if frame[column].ne("").all():
            return frame[column]
    if frame["crc32c"].ne("").all():
        return frame["crc32c"] + "-" + frame["size"].astype("str")
    return frame["duplicate_group"].where(frame["duplicate_group"].str.startswith("same:"), "")


def in_two_splits(keys: pd.Series, splits: pd.Series) -> Iterator[tuple[str, str, pd.Index]]:
    """For each pair of splits that share keys: the two splits and those keys."""
    known = (keys != "") & (splits != "")
    pairs = pd.DataFrame({"key": keys[known], "split": splits[known]}).drop_duplicates()
    pairs = pairs[pairs["key"].duplicated(keep=False)]
    keys_of = {split: pd.Index(pairs["key"][pairs["split"] == split]) for split in SPLITS}
    for left, right in combinations(SPLITS, 2):
        shared = keys_of[left].intersection(keys_of[right])
        if len(shared):
            yield left, right, shared


def _patients(manifest: Manifest) -> Hits:
    frame = manifest.frame
    for left, right, shared in in_two_splits(frame["patient"], frame["split"]):
        key = manifest.header.patient_key
        words = f"{counted(len(shared), 'patient')} in {left} and also in {right} (patient key {key})"
        yield words, frame["path"][frame["patient"].isin(shared)]


def _patients_by_other_reading(manifest: Manifest) -> Hits:
    """The reading that the manifest does not use, with the sentence that explains the difference."""
    numbered = manifest.frame[manifest.frame["path"].str.contains(_NUMBERED)]
    if numbered.empty:
        return
    paths = {split: numbered["path"][numbered["split"] == split] for split in SPLITS}
    for reading in READINGS:
        if reading == manifest.header.patient_key:
            continue
        found = [overlap for overlap in overlaps(paths, reading) if overlap.shared]
        found.sort(key=lambda overlap: overlap.right != "test")  # what matters most first
        if not found:
            continue
        words = ", ".join(
            f"{len(overlap.shared):,} of {overlap.right_patients:,} in {overlap.right} also in {overlap.left}"
            for overlap in found
        )
        shared = set(found[0].shared)
        examples = (path for path in paths[found[0].right] if patient_of(path, reading).key in shared)
        yield f"numbered patients read by {reading}: {words}; {WHY_TWO_READINGS}", examples


def _bytes(manifest: Manifest) -> Hits:
    keys = content_key(manifest.frame)
    for left, right, shared in in_two_splits(keys, manifest.frame["split"]):
        words = f"{counted(len(shared), 'image')} in {left} and also, byte for byte, in {right}"
        yield words, manifest.frame["path"][keys.isin(shared)]


def _near_duplicates(manifest: Manifest) -> Hits:
    groups = manifest.frame["duplicate_group"]
    near = groups.where(groups.str.startswith("near:"), "")
    for left, right, shared in in_two_splits(near, manifest.frame["split"]):
        words = f"{counted(len(shared), 'group')} of near-duplicates with images in {left} and in {right}"
        yield words, manifest.frame["path"][near.isin(shared)]


RULES: Final = (
    Rule("patient-in-two-splits", "error", _SPLIT_AGAIN, _patients),
    Rule(
        "patient-in-two-splits-otherwise",
        "note",
        "nothing to do; to be conservative: cxr data scan DIR --patient-key number",
        _patients_by_other_reading,
    ),
    Rule("bytes-in-two-splits", "error", _SPLIT_AGAIN, _bytes),
    Rule("near-duplicate-in-two-splits", "error", _SPLIT_AGAIN, _near_duplicates),
)
