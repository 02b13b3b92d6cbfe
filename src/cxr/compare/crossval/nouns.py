"""What a cross-validation is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cxr.bundle import Bundle
from cxr.compare.nouns import Draws, Estimate
from cxr.manifests.manifest import Manifest

#: What is told of each fold and of all together.
BINARY_MEASURES = ("auc", "accuracy", "sensitivity", "specificity")
MANY_CLASSES_MEASURES = ("macro_auc", "accuracy", "balanced_accuracy", "macro_f1")
#: What is told of all together besides.
BINARY_POOLED = ("average_precision", "brier", "log_loss")
MANY_CLASSES_POOLED = ("macro_average_precision", "brier", "log_loss")


@dataclass(frozen=True)
class FoldResult:
    """One fold: its bundle, judged on the held-out images at its own temperature and threshold. `held_out` are these
    images: path, patient, label, split, fold, called, and a column p_<class> for each class. `was_finished`: nothing
    was trained for it now."""

    number: int
    bundle: Bundle
    manifest: Manifest
    images: int
    patients: int
    measures: Mapping[str, float]
    held_out: pd.DataFrame
    was_finished: bool


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and sample standard deviation over the folds."""

    mean: float
    standard_deviation: float


@dataclass(frozen=True)
class CrossValidation:
    """All folds. `pooled` are the measures of all held-out images together, each called and scored by the model that
    had not seen its patient, with intervals that resample patients."""

    recipe: str
    manifest: Manifest
    folds: tuple[FoldResult, ...]
    blocks: bool
    seed: int
    spread: Mapping[str, Spread]
    pooled: Mapping[str, Estimate]
    draws: Draws
    folder: Path
    classes: tuple[str, ...]
    positive_class: str

    @property
    def held_out(self) -> pd.DataFrame:
        """All held-out images, in the order of their paths."""
        rows = pd.concat([fold.held_out for fold in self.folds])
        return rows.sort_values("path", kind="stable").reset_index(drop=True)
