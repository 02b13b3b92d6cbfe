"""What a test split shares with what a model learned from is found by bytes, by duplicate group and by patient."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cxr.compare.overlap import overlap_with
from cxr.manifests.manifest import BLANK_ROW, Manifest, ManifestHeader, new_manifest


def _manifest(rows: list[tuple[str, str, str, str, str]]) -> Manifest:
    """(path, patient, split, sha256's digit, duplicate group) a row."""
    names = ("path", "patient", "split", "sha256", "duplicate_group")
    table = [
        BLANK_ROW | {"label": "NORMAL"} | dict(zip(names, (*row[:3], row[3] * 64, row[4]), strict=True)) for row in rows
    ]
    return new_manifest(pd.DataFrame(table), ManifestHeader(root="."), Path("m.csv"))


def test_a_clean_split_is_called_clean():
    manifest = _manifest([("a", "p1", "train", "1", ""), ("b", "p2", "test", "2", "")])
    assert overlap_with(manifest, manifest, "test").is_clean


def test_bytes_near_duplicates_and_patients_are_counted_apart():
    manifest = _manifest(
        [
            ("a", "p1", "train", "1", ""),
            ("b", "p2", "validation", "2", "near:x"),
            ("c", "p3", "test", "1", ""),
            ("d", "p4", "test", "4", "near:x"),
            ("e", "p1", "test", "5", ""),
            ("f", "p6", "test", "6", ""),
        ]
    )
    found = overlap_with(manifest, manifest, "test")
    assert (found.images, found.patients, found.examples) == (2, 1, ("c", "d", "e"))


def test_another_manifest_is_held_against_by_bytes_and_patients_its_groups_mean_nothing():
    learned = _manifest([("x", "p1", "train", "1", "near:x"), ("y", "p9", "test", "2", "")])
    judged = _manifest([("c", "p2", "test", "1", ""), ("d", "p1", "test", "4", ""), ("e", "p5", "test", "2", "near:x")])
    found = overlap_with(learned, judged, "test")
    assert (found.images, found.patients) == (1, 1)


def test_images_that_tell_no_patient_share_none():
    manifest = _manifest([("a", "image:a", "train", "1", ""), ("b", "image:a", "test", "2", "")])
    assert overlap_with(manifest, manifest, "test").is_clean
