"""Areas under ROC curves of several models on the same cases: their variances, covariances, and the paired test.

DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated receiver operating characteristic
curves, Biometrics 44 (1988) 837-845, by the midranks of Sun and Xu, Fast implementation of DeLong's algorithm, IEEE
Signal Processing Letters 21 (2014) 1389-1393: sorting instead of all pairs. Where several images are of one patient,
the components are added up by patient first: Obuchowski, Nonparametric analysis of clustered ROC curve data, Biometrics
53 (1997) 567-578, which is DeLong's again when every patient has one image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cxr.compare.metrics.confusion import Bools, Floats

#: The standard normal distribution's 97.5 % point: 95 % intervals.
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class AreaComponents:
    """Areas [M] of M models, and what each case adds: `of_positives` [M, m] is the share of the negatives that a
    positive case beats, `of_negatives` [M, n] the share of the positives that beat a negative case (ties one half).
    `positive_clusters` [m] and `negative_clusters` [n] number the patients 0..`clusters`-1."""

    areas: Floats
    of_positives: Floats
    of_negatives: Floats
    positive_clusters: NDArray[np.intp]
    negative_clusters: NDArray[np.intp]
    clusters: int

    def alone(self) -> AreaComponents:
        """The same with every case taken as a patient of its own: DeLong's variance."""
        m, n = self.of_positives.shape[1], self.of_negatives.shape[1]
        return replace(self, positive_clusters=np.arange(m), negative_clusters=np.arange(m, m + n), clusters=m + n)


@dataclass(frozen=True, slots=True)
class AreaDifference:
    """How much larger one model's area is than another's, with standard error, 95 % interval and the two-sided p-value
    of no difference (normal approximation). All NaN where the variance is not defined; `p_value` is also NaN where the
    areas differ and no variance was seen."""

    difference: float
    standard_error: float
    low: float
    high: float
    p_value: float


def area_components(positive: Bools, scores: Floats, clusters: NDArray[np.intp] | None = None) -> AreaComponents:
    """The components of the areas of `scores` [M, N], higher meaning positive, with `positive` [N] the truth.

    `clusters` [N] numbers each case's patient; None: every case is one of its own. Without a positive or without a
    negative case, the areas are NaN. O(M N log N).
    """
    from scipy.stats import rankdata  # slow to load: only where models are compared

    ordered = np.concatenate([scores[:, positive], scores[:, ~positive]], axis=1)
    m, n = int(positive.sum()), int((~positive).sum())
    number = np.arange(len(positive)) if clusters is None else np.unique(clusters, return_inverse=True)[1].reshape(-1)
    if m and n:
        together = rankdata(ordered, axis=1)
        of_positives = (together[:, :m] - rankdata(ordered[:, :m], axis=1)) / n
        of_negatives = 1 - (together[:, m:] - rankdata(ordered[:, m:], axis=1)) / m
        areas = of_positives.mean(axis=1)
    else:
        of_positives, of_negatives = np.full((len(scores), m), np.nan), np.full((len(scores), n), np.nan)
        areas = np.full(len(scores), np.nan)
    return AreaComponents(
        areas, of_positives, of_negatives, number[positive], number[~positive], int(number.max(initial=-1)) + 1
    )


def area_difference(components: AreaComponents, first: int, second: int) -> AreaDifference:
    """Model `first` against model `second`. Two models that order the cases alike differ by 0 with p = 1."""
    contrast = np.zeros((1, len(components.areas)))
    contrast[0, first], contrast[0, second] = 1, -1
    difference = float(components.areas[first] - components.areas[second])
    variance = float(covariance(components, contrast)[0, 0])
    # Cases that are ordered alike add exactly nothing; a clustered variance may be a rounding below zero.
    error = math.sqrt(max(variance, 0.0)) if not math.isnan(variance) else math.nan
    if math.isnan(error):
        return AreaDifference(difference, error, math.nan, math.nan, math.nan)
    if error == 0:
        p_value = 1.0 if difference == 0 else math.nan
    else:
        p_value = math.erfc(abs(difference) / error / math.sqrt(2))
    return AreaDifference(difference, error, difference - Z_95 * error, difference + Z_95 * error, p_value)


def covariance(components: AreaComponents, contrasts: Floats) -> Floats:
    """Covariance [R, R] of the combinations `contrasts` [R, M] of the areas; NaN where a class has cases of one patient
    only. The contrast is taken before anything is squared, so that what two models have in common drops out exactly."""
    m, n = components.of_positives.shape[1], components.of_negatives.shape[1]
    areas = contrasts @ components.areas
    of_positives = contrasts @ components.of_positives - areas[:, None]
    of_negatives = contrasts @ components.of_negatives - areas[:, None]
    found = _by_cluster(of_positives, components.positive_clusters, components.clusters)
    missed = _by_cluster(of_negatives, components.negative_clusters, components.clusters)
    groups = (len(np.unique(components.positive_clusters)), len(np.unique(components.negative_clusters)))
    if min(groups) < 2:
        return np.full((len(contrasts), len(contrasts)), np.nan)
    with_positives, with_negatives = (count / (count - 1) for count in groups)
    in_all = components.clusters / (components.clusters - 1)
    across = found @ missed.T
    return np.asarray(
        with_positives * (found @ found.T) / m**2
        + with_negatives * (missed @ missed.T) / n**2
        + in_all * (across + across.T) / (m * n)
    )


def _by_cluster(values: Floats, number: NDArray[np.intp], clusters: int) -> Floats:
    """Sums of values [R, N] by cluster: [R, clusters]."""
    return np.stack([np.bincount(number, row, minlength=clusters) for row in values])
