"""Finer classes than the manifest's: a net that must tell bacterial from viral pneumonia learns more about pneumonia.

The net is trained on the parts of each class (its etiologies), and judged, stopped and shipped on the classes: the
probability of a class is the sum of its parts'.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from cxr.local_baseline.recipes.nouns import Supervision
from cxr.manifests.manifest import Manifest

#: A part with less than this share of its class's training images is counted with the largest part: a handful of
#: images would get a weight that no gradient survives.
LEAST_SHARE = 0.05

#: What the part of images without an etiology is called.
UNKNOWN = "of unknown etiology"

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FinerClasses:
    """The parts of a manifest's classes, in the order of the classes. `labels` [N] is each image's part; `parents` the
    class of each part. An image out of the training split whose etiology no training image has is in its class's
    largest part: only its class is ever asked for."""

    names: tuple[str, ...]
    labels: Labels
    parents: tuple[int, ...]

    def at(self, rows: Labels) -> FinerClasses:
        """The same parts for some of the images, in that order."""
        return replace(self, labels=self.labels[rows])

    @property
    def membership(self) -> npt.NDArray[np.float32]:
        """What collapses parts to classes: float32 [parts, classes], 1 where the part is of the class."""
        return np.eye(max(self.parents) + 1, dtype=np.float32)[list(self.parents)]

    def collapsed(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Probabilities of parts [N, parts] as probabilities of classes [N, classes]."""
        return probabilities @ self.membership.astype(np.float64)


def finer_classes(manifest: Manifest, supervision: Supervision) -> FinerClasses | None:
    """The parts that a net is trained on, or None: it is trained on the labels, because the recipe says so or because
    no class of the training split has two etiologies (a manifest without any; three-class labels, which are the
    etiologies already).

    Images without an etiology are a part of their own when they are many.
    """
    if supervision is Supervision.LABELS:
        return None
    frame = manifest.frame
    etiologies = frame["etiology"].fillna("")
    names: list[str] = []
    parents: list[int] = []
    labels = np.zeros(len(frame), np.int64)
    for number, label in enumerate(manifest.classes):
        of_label = frame["label"] == label
        commonest_first = _parts(etiologies[of_label & (frame["split"] == "train")])
        parts = sorted(commonest_first)
        places = {part: len(names) + place for place, part in enumerate(parts)}
        labels[of_label] = etiologies[of_label].map(places).fillna(places[commonest_first[0]]).astype(np.int64)
        names += [f"{label} ({part or UNKNOWN})" for part in parts] if len(parts) > 1 else [label]
        parents += [number] * len(parts)
    return FinerClasses(tuple(names), labels, tuple(parents)) if len(names) > len(manifest.classes) else None


def supervision_in_words(supervision: Supervision, finer: FinerClasses | None) -> str:
    """What a bundle's provenance says of it."""
    if finer is not None:
        return f"{supervision}: {', '.join(finer.names)}; collapsed to the labels inside the model"
    if supervision is Supervision.LABELS:
        return str(supervision)
    return f"labels: no label of the training split has two etiologies, so {supervision} says nothing more"


def _parts(etiologies: pd.Series[str]) -> list[str]:
    """The etiologies of a class's training images that are parts of their own, the commonest first; at least one."""
    shares = etiologies.value_counts(normalize=True)
    common = sorted(shares[shares >= LEAST_SHARE].items(), key=lambda each: (-each[1], str(each[0])))
    return [str(name) for name, _ in common] or [""]
