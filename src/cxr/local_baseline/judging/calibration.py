"""Temperature scaling: one number that makes a model as sure of itself as it is right (Guo, Pleiss, Sun and Weinberger,
On Calibration of Modern Neural Networks, ICML 2017).

The order, everywhere in the program: the model's probabilities -> `calibrated` (once, where predictors hand them out)
-> the threshold, which is on the calibrated probability. Dividing two classes' scores by a temperature keeps their
order (what lies below FLOOR ties), so ROC curves stay as they are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cxr.bundle import Calibration

Probabilities = npt.NDArray[np.float64]
ClassNumbers = npt.NDArray[np.int64]

#: Half a step of float32 just below 1: a probability of 1 says no more than that the other is at most this.
FLOOR = 2.0**-25
#: A model that knows less than nothing is levelled by this temperature, not by an infinite one.
HIGHEST = 20.0
#: No temperature may stretch the scores so far that sigmoids become 1 in double precision (36), and order is lost.
LARGEST_SCORE = 30.0
#: Bisections of the inverse temperature: 60 halve any range to the precision of a double.
HALVINGS = 60


def calibrated(probabilities: Probabilities, calibration: Calibration | None) -> Probabilities:
    """The calibrated probabilities float64 [N, K] of a model's own, [N, K] in 0..1 with rows that add up to 1; without
    a calibration they are what they were.

    softmax(log(p) / T), which for two classes is sigmoid(logit(p) / T).
    """
    if calibration is None:
        return probabilities
    return _softmax(_scores(probabilities) / calibration.temperature)


def fit_temperature(probabilities: Probabilities, truth: ClassNumbers, chosen_on: str) -> Calibration | None:
    """The temperature with the smallest mean cross-entropy on the images of `chosen_on`.

    `probabilities` [N, K] are the model's own, `truth` [N] class numbers. The loss is convex in the inverse
    temperature, so the range of the inverse is halved around its derivative's zero. None where no temperature is best:
    no images, one class only, or a model that is right (and would be the better the surer it was) on all of them.
    """
    if len(np.unique(truth)) < 2:
        return None
    scores = _scores(probabilities)
    low, high = 1.0 / HIGHEST, LARGEST_SCORE / max(float(np.ptp(scores, axis=1).max()), 1e-6)
    if high <= low or _slope(scores, truth, high) < 0:
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _slope(scores, truth, middle) > 0 else (middle, high)
    inverse = (low + high) / 2
    return Calibration(
        method="temperature",
        temperature=1.0 / inverse,
        chosen_by="smallest cross-entropy",
        chosen_on=chosen_on,
        images=len(truth),
        cross_entropy_before=_cross_entropy(scores, truth, 1.0),
        cross_entropy=_cross_entropy(scores, truth, inverse),
    )


def _scores(probabilities: Probabilities) -> Probabilities:
    return np.asarray(np.log(np.clip(probabilities, FLOOR, 1.0)), dtype=np.float64)


def _softmax(scores: Probabilities) -> Probabilities:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float64)


def _slope(scores: Probabilities, truth: ClassNumbers, inverse: float) -> float:
    """The derivative of the mean cross-entropy by the inverse temperature."""
    expected = (_softmax(scores * inverse) * scores).sum(axis=1)
    return float((expected - scores[np.arange(len(truth)), truth]).mean())


def _cross_entropy(scores: Probabilities, truth: ClassNumbers, inverse: float) -> float:
    stretched = scores * inverse
    highest = stretched.max(axis=1)
    total = highest + np.log(np.exp(stretched - highest[:, None]).sum(axis=1))
    return float((total - stretched[np.arange(len(truth)), truth]).mean())
