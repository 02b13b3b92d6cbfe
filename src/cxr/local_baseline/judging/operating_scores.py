"""The scores on which a threshold (and a temperature) is chosen.

A threshold does not transfer: chosen on clean images of one folder, it may call half the healthy chests of another
sick. Scores of the validation images together with those of their corrupted copies are spread as those of other
pictures are, and a threshold chosen on them gives up a little on the clean ones for less harm elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from cxr.local_baseline.images.corruptions import CORRUPTIONS, corrupted
from cxr.local_baseline.images.preprocess import Pixels
from cxr.local_baseline.judging.scoring import Probabilities, scorer
from cxr.local_baseline.recipes import ChosenOn
from cxr.local_baseline.training.pipeline import TrainingData


@dataclass(frozen=True, slots=True)
class OperatingScores:
    """Probabilities [M, classes] and true classes [M]; `chosen_on` is what a threshold says it was chosen on."""

    probabilities: Probabilities
    labels: npt.NDArray[np.int64]
    chosen_on: str


def operating_scores(model: Any, data: TrainingData, where: ChosenOn) -> OperatingScores:
    """What the finished `model` says of the validation images, or (corrupted-validation) of those and, once more, of
    each of their corrupted copies."""
    labels = data.labels[data.validation]
    score = scorer(model)
    if where is ChosenOn.VALIDATION:
        return OperatingScores(score(data.images, data.validation), labels, str(where))
    images = cast(Pixels, data.images)  # not features: the finished model sees pixels
    parts = [
        score(batch, np.arange(len(batch)))
        for corruption in CORRUPTIONS.values()
        for batch in corrupted(images, data.validation, corruption)
    ]
    return OperatingScores(np.concatenate(parts), np.tile(labels, len(CORRUPTIONS)), str(where))
