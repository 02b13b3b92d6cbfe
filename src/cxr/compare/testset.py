"""What the models were judged on, in numbers: the data and split card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cxr.manifests.manifest import SPLITS, Manifest, SplitPolicy
from cxr.manifests.patients.keys import UNKNOWN_PREFIX


@dataclass(frozen=True, slots=True)
class SplitCount:
    """One split: images by label, and its number of images and patients."""

    split: str
    labels: Mapping[str, int]
    images: int
    patients: int


@dataclass(frozen=True, slots=True)
class TestSet:
    """The judged split and the manifest around it. `unknown_patients`: images whose name tells no patient, each
    of which counts as a patient of its own."""

    #: pytest: this is no test class.
    __test__ = False

    split: str
    images: int
    patients: int
    counts: tuple[SplitCount, ...]
    patient_key: str
    policy: SplitPolicy
    manifest_hash: str
    unknown_patients: int = 0


def describe_test_set(manifest: Manifest, split: str) -> TestSet:
    """Count images and patients of every split that has any."""
    counts = tuple(_count(manifest, name) for name in SPLITS if len(manifest.split(name)))
    judged = next(count for count in counts if count.split == split)
    return TestSet(
        split=split,
        images=judged.images,
        patients=judged.patients,
        counts=counts,
        patient_key=manifest.header.patient_key,
        policy=manifest.header.split_policy,
        manifest_hash=manifest.hash,
        unknown_patients=int(manifest.split(split)["patient"].str.startswith(UNKNOWN_PREFIX).sum()),
    )


def _count(manifest: Manifest, split: str) -> SplitCount:
    rows = manifest.split(split)
    labels = rows["label"].value_counts()
    return SplitCount(
        split=split,
        labels={name: int(labels.get(name, 0)) for name in manifest.classes},
        images=len(rows),
        patients=int(rows["patient"].nunique()),
    )
