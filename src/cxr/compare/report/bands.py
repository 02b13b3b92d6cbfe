"""Pointwise 95 % bands around ROC and precision-recall curves, by the bootstrap that makes the intervals.

Vertical averaging (Fawcett, Pattern Recognition Letters 27 (2006) 861-874, section 9): each resample of the patients
has its own curve, and the band at one place holds the middle 95 % of the curves there. It says how far a curve may lie
at that place, not that the whole curve lies inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxr.compare.metrics.confusion import Floats
from cxr.compare.statistics.bootstrap import LEVEL, patient_numbers, resample
from cxr.compare.statistics.estimates import Draws
from cxr.compare.statistics.measures import Scored

#: Resamples of a band, at most: a line in a picture needs fewer than a number.
MOST_DRAWS = 1_000
#: Of more images a band would be thinner than its line.
MOST_IMAGES = 50_000
#: Places along the axis: finer where good models' curves turn.
PLACES = np.unique(np.r_[np.linspace(0, 0.1, 41), np.linspace(0.1, 1, 61)])
RECALLS = np.unique(np.r_[np.linspace(0.02, 0.9, 45), np.linspace(0.9, 1, 41)])


@dataclass(frozen=True, slots=True)
class Band:
    """Lowest and highest value at each place x; NaN where no resample defined the curve."""

    x: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Bands:
    """One model's: sensitivity by false positive rate, precision by recall."""

    roc: Band
    precision_recall: Band


def bands_of(cases: Scored, draws: Draws) -> Bands | None:
    """Both bands of one model; None where there are too many images for one to be seen."""
    if len(cases.truth) > MOST_IMAGES:
        return None
    patient, patients = patient_numbers(cases.patients)
    order = np.argsort(-cases.score, kind="stable")
    score, positive, whose = cases.score[order], cases.is_positive[order], patient[order]
    ends = np.r_[np.flatnonzero(np.diff(score)), len(score) - 1]

    def curves(weights: Floats) -> dict[tuple[str, int], Floats]:
        drawn = weights[:, whose]
        found = np.cumsum(drawn * positive, axis=1)[:, ends]
        alarms = np.cumsum(drawn * ~positive, axis=1)[:, ends]
        made = np.array([_curve(*pair) for pair in zip(found, alarms, strict=True)])
        places = [("roc", place) for place in range(len(PLACES))] + [("pr", place) for place in range(len(RECALLS))]
        return dict(zip(places, made.T, strict=True))

    count = min(draws.count, MOST_DRAWS)
    (drawn,) = resample([curves], patients, draws=count, seed=draws.seed)
    return Bands(_band(drawn, "roc", PLACES), _band(drawn, "pr", RECALLS))


def _curve(found: Floats, alarms: Floats) -> Floats:
    """One resample's sensitivity at PLACES, then its precision at RECALLS, from the weights found and falsely called at
    falling thresholds."""
    positives, negatives = found[-1], alarms[-1]
    if not positives or not negatives:
        return np.full(len(PLACES) + len(RECALLS), np.nan)
    sensitivity = np.interp(PLACES, np.r_[0.0, alarms / negatives], np.r_[0.0, found / positives])
    # The first threshold that reaches the recall: between two thresholds there is none.
    reached = np.minimum(np.searchsorted(found / positives, RECALLS - 1e-12), len(found) - 1)
    precision = found[reached] / (found[reached] + alarms[reached])
    return np.concatenate([sensitivity, precision])


def _band(drawn: dict[tuple[str, int], Floats], name: str, x: Floats) -> Band:
    values = np.stack([drawn[name, place] for place in range(len(x))])
    defined = values[:, ~np.isnan(values[0])]
    if not defined.shape[1]:
        return Band(x, np.full(len(x), np.nan), np.full(len(x), np.nan))
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(defined, [tail, 100 - tail], axis=1)
    return Band(x, low, high)
