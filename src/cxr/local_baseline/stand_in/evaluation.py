"""The stand-in's evaluation, in the shape of the service's classification metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.local_baseline.judging.scoring import Probabilities
from cxr.local_baseline.training.fitting import validation_loss

#: Confidence thresholds at which precision and recall are given.
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(20))


def evaluation(probabilities: Probabilities, labels: npt.NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """Metrics of float64 [N, classes] probabilities against class numbers [N].

    Precision and recall count every pair of image and label, as the service does: a label is claimed when its
    confidence reaches the threshold. `auPrc` is the average precision over the same pairs; `logLoss` in nats; rows of
    the confusion matrix are the truth, columns the most probable label. The annotation specs are in the order of the
    scores.
    """
    truth = np.eye(len(names), dtype=bool)[labels]
    return {
        **_curve(probabilities.ravel(), truth.ravel()),
        "logLoss": validation_loss(probabilities, labels),
        "confusionMatrix": _matrix(probabilities.argmax(axis=1), labels, names),
    }


def slices(probabilities: Probabilities, labels: npt.NDArray[np.int64], names: Sequence[str]) -> list[dict[str, Any]]:
    """One `{"displayName", "metrics"}` for each label that the truth has: the label against all others.

    Precision, recall, `auPrc` and `auRoc` are those of that label's score over all images; `logLoss` is the binary one
    in nats; the confusion matrix counts the images that are of the label or were taken for it.
    """
    said = probabilities.argmax(axis=1)
    found = []
    for index, name in enumerate(names):
        scores, truth = probabilities[:, index], labels == index
        if not truth.any():
            continue
        chosen = truth | (said == index)
        metrics = {
            **_curve(scores, truth),
            "auRoc": _area_under_roc(scores, truth),
            "logLoss": validation_loss(np.stack([1.0 - scores, scores], axis=1), truth.astype(np.int64)),
            "confusionMatrix": _matrix(said[chosen], labels[chosen], names),
        }
        found.append({"displayName": name, "metrics": metrics})
    return found


def _curve(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "auPrc": _average_precision(scores, truth),
        "confidenceMetrics": [_at(threshold, scores, truth) for threshold in THRESHOLDS],
    }


def _average_precision(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> float:
    """Sum over distinct thresholds of precision times the gain in recall."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    hits, claimed = hits[last_of_tie], np.flatnonzero(last_of_tie) + 1
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / claimed).sum() / truth.sum())


def _area_under_roc(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> float:
    """The chance that an image of the label scores above one that is not, ties counting one half; 0 when all are."""
    of_label, others = scores[truth], np.sort(scores[~truth])
    if not len(others):
        return 0.0
    below, up_to = np.searchsorted(others, of_label, "left"), np.searchsorted(others, of_label, "right")
    return float((below + up_to).sum() / (2 * len(of_label) * len(others)))


def _at(threshold: float, scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> dict[str, float]:
    claimed = scores >= threshold
    hits = int((claimed & truth).sum())
    metrics = {"recall": hits / int(truth.sum()), "precision": hits / int(claimed.sum()) if claimed.any() else 1.0}
    # The service leaves a threshold of 0 out, as JSON from protobuf does with every zero.
    return metrics if threshold == 0 else {"confidenceThreshold": threshold, **metrics}


def _matrix(said: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    classes = len(names)
    table = np.bincount(truth * classes + said, minlength=classes * classes)
    return {
        "annotationSpecs": [{"id": _identifier(name), "displayName": name} for name in names],
        "rows": [[int(count) for count in row] for row in table.reshape(classes, classes)],
    }


def _identifier(name: str) -> str:
    """A number for a label, the same every time."""
    return str(int(hashlib.sha256(name.encode()).hexdigest()[:15], 16))
