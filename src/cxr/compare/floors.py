"""The floors: what is reached without looking at the chest, learned from the same training images and judged on the
same test images as the models.

A model that does not clear them may have learned no more than a ruler measures: the commonest class, the file's size in
bytes, a thumbnail of 32x32 grey pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cxr.bundle import Preprocessing
from cxr.compare.images import split_images
from cxr.compare.metrics.confusion import Floats, Ints
from cxr.errors import InputError, missing_package
from cxr.manifests.check.looks import THUMBNAIL_SIDE
from cxr.manifests.check.shortcuts import BYTE_COUNT, INVERSE_PENALTY
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress

MAJORITY = "majority class"
THUMBNAIL = f"{THUMBNAIL_SIDE}x{THUMBNAIL_SIDE} pixels"
#: No model is called by one of these.
FLOOR_NAMES = frozenset({MAJORITY, BYTE_COUNT, THUMBNAIL})
LEARN, BALANCED_CALL = "train", 0.5
#: A thousand coefficients need no more images, and a million thumbnails would not fit.
MOST_LEARNED, BATCH_IMAGES = 20_000, 4_096
#: Squashed grey thumbnails; scale and offset do not matter, as features are standardised.
CONTRACT = Preprocessing(height=THUMBNAIL_SIDE, width=THUMBNAIL_SIDE, channels=1)


@dataclass(frozen=True, slots=True)
class Floor:
    """One floor on one split. `learned` says in words what it is; `probabilities` float64 [N, K] are in the order of
    the manifest's rows and classes; its calls are made at `threshold` of the positive class's probability."""

    name: str
    learned: str
    probabilities: Floats
    threshold: float = BALANCED_CALL


@dataclass(frozen=True, slots=True)
class Floors:
    """The floors that could be laid, and for each other one the reason why not."""

    laid: tuple[Floor, ...]
    left_out: tuple[str, ...]


#: Numbers of a split's images -> their features float64 [n, F].
_Features = Callable[[Ints], Floats]


class _NotLaidError(Exception):
    """Why a floor cannot be laid here."""


def lay_floors(manifest: Manifest, split: str, *, images: str | None, cache_dir: Path, on_progress: Progress) -> Floors:
    """All floors on `split`. The images of train and of `split` are decoded once, as thumbnails.

    `images` is the folder (or gs:// URL) that the manifest's paths are relative to (None: the manifest's own root).
    What cannot be laid (no training images, sizes that are not known, images that are not there) is left out with its
    reason; nothing is raised for it.
    """
    classes = manifest.classes
    rows, learning = manifest.split(split), manifest.split(LEARN)
    numbers = {name: number for number, name in enumerate(classes)}
    truth = np.array([numbers[label] for label in learning["label"]], dtype=np.int64)
    judged = np.array([numbers[label] for label in rows["label"]], dtype=np.int64)
    laid, left_out = [_majority(truth, judged, classes)], []

    def pixels(name: str) -> _Features:
        try:
            held = split_images(manifest, name, CONTRACT, images=images, cache_dir=cache_dir, on_progress=on_progress)
        except (InputError, OSError) as error:
            raise _NotLaidError(str(error)) from error
        return lambda numbers: held.array[held.rows[numbers]].reshape(len(numbers), -1).astype(np.float64)

    def byte_counts(name: str) -> _Features:
        sizes = manifest.split(name)["size"].to_numpy(dtype=np.float64)
        if not (sizes > 0).all():
            raise _NotLaidError("the sizes of some files are not known")
        return lambda numbers: np.asarray(np.log(sizes[numbers])[:, None], dtype=np.float64)

    for name, learned, features in (
        (BYTE_COUNT, "logistic regression on the file's size alone", byte_counts),
        (THUMBNAIL, "logistic regression on a grey thumbnail", pixels),
    ):
        try:
            _check_learnable(truth)
            made = _logistic(features(LEARN), truth, features(split), len(judged), len(classes))
            laid.append(Floor(name, learned, made))
        except _NotLaidError as reason:
            left_out.append(f"{name}: {reason}")
    return Floors(tuple(laid), tuple(left_out))


def _majority(learned_from: Ints, judged: Ints, classes: Sequence[str]) -> Floor:
    """The commonest class of train (of the judged split where there is no train; the first of several)."""
    source = learned_from if len(learned_from) else judged
    commonest = int(np.bincount(source, minlength=len(classes)).argmax())
    probabilities = np.zeros((len(judged), len(classes)))
    probabilities[:, commonest] = 1.0
    return Floor(MAJORITY, f"always {classes[commonest]}", probabilities)


def _check_learnable(truth: Ints) -> None:
    if len(np.unique(truth)) < 2:
        raise _NotLaidError("there are no training images of two classes to learn it from")


def _logistic(learn: _Features, truth: Ints, judge: _Features, count: int, classes: int) -> Floats:
    """Multinomial logistic regression on standardised features, learned from at most MOST_LEARNED images, which stand
    evenly in the manifest's order: float64 [count, classes]; a class that train lacks gets 0."""
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise _NotLaidError(str(missing_package("scikit-learn", "report"))) from error
    some = np.unique(np.linspace(0, len(truth) - 1, min(len(truth), MOST_LEARNED)).astype(np.int64))
    _check_learnable(truth[some])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=1000))
    model.fit(learn(some), truth[some])
    probabilities = np.zeros((count, classes))
    for start in range(0, count, BATCH_IMAGES):
        numbers = np.arange(start, min(start + BATCH_IMAGES, count))
        probabilities[numbers[:, None], model[-1].classes_] = model.predict_proba(judge(numbers))
    return probabilities
