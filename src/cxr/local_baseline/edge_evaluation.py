"""The stand-in's evaluation, in the shape of the service's classification metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.local_baseline.fitting import validation_loss
from cxr.local_baseline.scoring import Probabilities

#: Confidence thresholds at which precision and recall are given.
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(20))


def evaluation(probabilities: Probabilities, labels: npt.NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """Metrics of float64 [N, classes] probabilities against class numbers [N].

    Precision and recall count every pair of image and label, as the service does: a label is claimed when its
    confidence reaches the threshold. `auPrc` is the average precision over the same pairs; `logLoss` in nats; rows of
    the confusion matrix are the truth, columns the most probable label.
    """
    truth = np.eye(len(names), dtype=bool)[labels]
    return {
        "auPrc": _average_precision(probabilities.ravel(), truth.ravel()),
        "logLoss": validation_loss(probabilities, labels),
        "confidenceMetrics": [_at(threshold, probabilities, truth) for threshold in THRESHOLDS],
        "confusionMatrix": {
            "annotationSpecs": [{"id": _identifier(name), "displayName": name} for name in names],
            "rows": _confusion(probabilities.argmax(axis=1), labels, len(names)),
        },
    }


def _average_precision(scores: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> float:
    """Sum over distinct thresholds of precision times the gain in recall."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    hits, claimed = hits[last_of_tie], np.flatnonzero(last_of_tie) + 1
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / claimed).sum() / truth.sum())


def _at(threshold: float, probabilities: Probabilities, truth: npt.NDArray[np.bool_]) -> dict[str, float]:
    claimed = probabilities >= threshold
    hits = int((claimed & truth).sum())
    metrics = {"recall": hits / int(truth.sum()), "precision": hits / int(claimed.sum()) if claimed.any() else 1.0}
    # The service leaves a threshold of 0 out, as JSON from protobuf does with every zero.
    return metrics if threshold == 0 else {"confidenceThreshold": threshold, **metrics}


def _confusion(said: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], classes: int) -> list[list[int]]:
    table = np.bincount(truth * classes + said, minlength=classes * classes)
    return [[int(count) for count in row] for row in table.reshape(classes, classes)]


def _identifier(name: str) -> str:
    """A number for a label, the same every time."""
    return str(int(hashlib.sha256(name.encode()).hexdigest()[:15], 16))
