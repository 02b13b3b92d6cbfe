"""The shortcut probe: how well does the file, not the chest, tell the label?

The byte count, the aspect ratio and a 32x32 grey thumbnail are asked. What they reach is the floor: a model that does
not beat them has learned nothing that a ruler could not measure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cxr.manifests.check.looks import THUMBNAIL_SIDE, Looks
from cxr.manifests.manifest import Manifest
from cxr.manifests.splits.groups import group_keys

FOLDS: Final = 5
#: Images of the positive class, and of the rest, below which test does not judge: by luck alone 2 against 2 are told
#: apart, one way or the other, in one draw of three.
MIN_JUDGING_IMAGES: Final = 10
#: Figures on test and in train that lie farther apart are two different things.
DISAGREEMENT: Final = 0.2
#: The strength of the L2 penalty (scikit-learn's inverse C) on standardised pixels; the floors of a comparison have it.
INVERSE_PENALTY: Final = 0.01
BYTE_COUNT: Final = "byte count"
ASPECT_RATIO: Final = "aspect ratio"
THUMBNAIL: Final = f"{THUMBNAIL_SIDE}x{THUMBNAIL_SIDE} thumbnail"

_IN_FOLDS: Final = f"{FOLDS} folds of train, by patient"

Floats = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shortcut:
    """How well one thing about the files ranks the positive class above the rest.

    `test_auc` is learned on train and judged on test (None where test has fewer than MIN_JUDGING_IMAGES of either
    side); `train_auc` is the mean over folds of train, of train alone, that keep patients and duplicates together (None
    where there are too few). `tells` says which way, as seen in train.
    """

    name: str
    test_auc: float | None
    train_auc: float | None
    tells: str

    @property
    def auc(self) -> float:
        """The figure to beat: on test where there is one, else in train."""
        return self.test_auc if self.test_auc is not None else self.train_auc or 0.5

    @property
    def judged_on(self) -> str:
        """Where `auc` was measured."""
        return "test" if self.test_auc is not None else _IN_FOLDS

    @property
    def strongest(self) -> float:
        """How well it tells at its best: on test either way round (0 tells as much as 1), or in train."""
        ways = (self.test_auc, 1 - self.test_auc) if self.test_auc is not None else ()
        return max(*ways, self.train_auc or 0.5, 0.5)

    @property
    def figures(self) -> str:
        """What was measured, in words, and whether test and train disagree."""
        known = [(self.test_auc, "test"), (self.train_auc, _IN_FOLDS)]
        words = ", ".join(f"{area:.3f} ({where})" for area, where in known if area is not None)
        if self.test_auc is None or self.train_auc is None or abs(self.test_auc - self.train_auc) <= DISAGREEMENT:
            return words
        turned = self.test_auc < 0.5 < self.train_auc
        return f"{words}; test and train disagree{', it is the other way round in test' if turned else ''}"

    @property
    def is_outside(self) -> bool:
        """Whether it needs no pixel."""
        return self.name != THUMBNAIL


@dataclass(frozen=True, slots=True)
class ShortcutProbe:
    """All shortcuts that could be measured, the class that is told from the rest, why others (or all, on test) could
    not, and the sentence that says what it means."""

    positive_class: str
    shortcuts: tuple[Shortcut, ...]
    left_out: tuple[str, ...]
    sentence: str


def probe_shortcuts(manifest: Manifest, looks: Looks | None = None) -> ShortcutProbe | None:
    """Probe byte count and aspect ratio from the manifest alone, and the thumbnails where images were looked at.

    None when train has not both the positive class and others. The thumbnails need scikit-learn; without it they are
    left out, and `left_out` says so.
    """
    frame = manifest.frame
    used = frame["split"].isin(("train", "test")).to_numpy()
    table = frame.loc[used, ["split", "size", "width", "height"]]
    positive = (frame["label"] == manifest.positive_class).to_numpy()[used]
    is_train = (table["split"] == "train").to_numpy()
    if not _has_both(positive[is_train]):
        return None
    fold = np.full(len(positive), -1, np.int64)
    fold[is_train] = _folds(frame[used][is_train], positive[is_train])
    sides = _Sides(positive, is_train, fold)
    found: list[Shortcut] = []
    left_out = [f"test: {sides.too_few_in_test}"] if sides.too_few_in_test else []
    for name, values in _outsides(table).items():
        known = np.isfinite(values)
        if not known.all():
            left_out.append(f"{name}: not known of every image")
        else:
            found.append(_of_one_number(name, values, sides))
    _add_thumbnails(found, left_out, looks, np.flatnonzero(used), sides)
    return ShortcutProbe(manifest.positive_class, tuple(found), tuple(left_out), _sentence(found, manifest))


@dataclass(frozen=True, slots=True, eq=False)
class _Sides:
    """Images of train and test: which are positive, which train, and the fold of each (0 to FOLDS-1, -1 in test)."""

    positive: Truths
    is_train: Truths
    fold: npt.NDArray[np.int64]

    def at(self, rows: npt.NDArray[np.int64]) -> _Sides:
        return _Sides(self.positive[rows], self.is_train[rows], self.fold[rows])

    @property
    def judges_on_test(self) -> bool:
        """Whether test has enough images of either side."""
        positive = self.positive[~self.is_train]
        return min(int(positive.sum()), int((~positive).sum())) >= MIN_JUDGING_IMAGES

    @property
    def too_few_in_test(self) -> str:
        """Why test, where there is one, does not judge."""
        positive = self.positive[~self.is_train]
        if self.judges_on_test or not len(positive):
            return ""
        return (
            f"{int(positive.sum()):,} positive and {int((~positive).sum()):,} other images are too few to judge on,"
            f" {MIN_JUDGING_IMAGES} of each are needed; the folds of train stand for it"
        )


#: Learns from the rows of the first mask and scores those of the second.
_Scorer = Callable[[Truths, Truths], Floats]


def auc(scores: Floats, positive: Truths) -> float:
    """The area under the ROC curve: how often a positive has the higher score (ties count half). NaN for one class."""
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    ranks = pd.Series(scores).rank().to_numpy()
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def _outsides(table: pd.DataFrame) -> dict[str, Floats]:
    size, width, height = (table[name].to_numpy(dtype=np.float64) for name in ("size", "width", "height"))
    with np.errstate(divide="ignore", invalid="ignore"):
        return {BYTE_COUNT: np.where(size > 0, size, np.nan), ASPECT_RATIO: np.where(width > 0, width / height, np.nan)}


def _of_one_number(name: str, values: Floats, sides: _Sides) -> Shortcut:
    def scorer(learn: Truths, judge: Truths) -> Floats:
        return values[judge] * _direction(values[learn], sides.positive[learn])

    words = {BYTE_COUNT: ("larger files", "smaller files"), ASPECT_RATIO: ("wider images", "taller images")}[name]
    way = _direction(values[sides.is_train], sides.positive[sides.is_train])
    tells = words[0] if way > 0 else words[1]
    if np.ptp(values) == 0:
        tells = "all are alike"
    return _judged(name, scorer, sides, tells)


def _direction(values: Floats, positive: Truths) -> int:
    return -1 if auc(values, positive) < 0.5 else 1


def _add_thumbnails(
    found: list[Shortcut], left_out: list[str], looks: Looks | None, used: npt.NDArray[np.int64], sides: _Sides
) -> None:
    if looks is None:
        left_out.append(f"{THUMBNAIL}: the images were not looked at")
        return
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        left_out.append(f'{THUMBNAIL}: needs the package scikit-learn, pip install "cxr[data]"')
        return
    _, here, there = np.intersect1d(used, looks.rows, assume_unique=True, return_indices=True)
    seen = sides.at(here)
    if seen.too_few_in_test and not sides.too_few_in_test:
        left_out.append(f"{THUMBNAIL} on test: {seen.too_few_in_test}")
    pixels = looks.thumbnails[there].reshape(-1, THUMBNAIL_SIDE**2).astype(np.float32)
    if not _has_both(seen.positive[seen.is_train]):
        left_out.append(f"{THUMBNAIL}: too few images could be read")
        return

    def scorer(learn: Truths, judge: Truths) -> Floats:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=1000))
        model.fit(pixels[learn], seen.positive[learn])
        return np.asarray(model.decision_function(pixels[judge]), np.float64)

    found.append(_judged(THUMBNAIL, scorer, seen, "logistic regression"))


def _judged(name: str, scorer: _Scorer, sides: _Sides, tells: str) -> Shortcut:
    test = ~sides.is_train
    test_auc = auc(scorer(sides.is_train, test), sides.positive[test]) if sides.judges_on_test else None
    areas = []
    for fold in range(FOLDS):
        learn, judge = sides.is_train & (sides.fold != fold), sides.is_train & (sides.fold == fold)
        if _has_both(sides.positive[learn]) and _has_both(sides.positive[judge]):
            areas.append(auc(scorer(learn, judge), sides.positive[judge]))
    return Shortcut(name, test_auc, float(np.mean(areas)) if len(areas) == FOLDS else None, tells)


def _folds(frame: pd.DataFrame, positive: Truths) -> npt.NDArray[np.int64]:
    """A fold for each row: patients and duplicates stay together, groups with and without positives are dealt out in
    turn, in the order of their names' hashes, whatever the order of the rows."""
    codes, names = pd.factorize(group_keys(frame))
    hashes = pd.util.hash_array(np.asarray(names, dtype=object))
    has_positive = np.bincount(codes, weights=positive, minlength=len(names)) > 0
    order = np.lexsort((hashes, has_positive))
    fold_of_group = np.empty(len(names), np.int64)
    fold_of_group[order] = np.arange(len(names)) % FOLDS
    return fold_of_group[codes]


def _has_both(positive: Truths) -> bool:
    return bool(positive.any() and not positive.all())


def _sentence(found: list[Shortcut], manifest: Manifest) -> str:
    measured = [shortcut for shortcut in found if shortcut.test_auc is not None or shortcut.train_auc is not None]
    if not measured:
        return ""
    best = max(measured, key=lambda shortcut: shortcut.auc)
    return (
        f"the {best.name} alone tells {manifest.positive_class} with an AUC of {best.auc:.3f} ({best.judged_on}):"
        " a model must beat this to have seen more than that"
    )
