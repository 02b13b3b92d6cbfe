"""What the tests of scans share: names in the Kaggle layout, a place that can only be listed, problems by path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cxr.manifests.manifest import Problem
from cxr.storage import ObjectInfo

KAGGLE = [
    "train/NORMAL/IM-0001-0001.jpeg",
    "train/PNEUMONIA/person1_bacteria_1.jpeg",
    "train/PNEUMONIA/person1_virus_2.jpeg",
    "val/NORMAL/NORMAL2-IM-0003-0001.jpeg",
    "test/PNEUMONIA/person9_bacteria_7.jpeg",
]


@dataclass(frozen=True, slots=True)
class Listed:
    """A place with these objects, on no server."""

    objects: Iterable[ObjectInfo]
    url: str = "gs://bucket/xrays"

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Those whose name starts with `prefix`, in the order given."""
        return (found for found in self.objects if found.name.startswith(prefix))


def rules_of(problems: Iterable[Problem]) -> dict[str, str]:
    """The rule of each problem by its path."""
    return {problem.path: problem.rule for problem in problems}
