"""What the threshold explorer needs of each model: how many images of either side lie at or above each threshold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from cxr.compare.metrics.confusion import Floats
from cxr.compare.statistics.measures import Scored

#: Steps of the slider: even ones in probability, and even ones in images, so that scores that crowd at one end do not
#: fall between two steps.
EVEN_STEPS, IMAGE_STEPS = 101, 301
DIGITS = 6


def explorer_data(names: Sequence[str], cases: Sequence[Scored], thresholds: Sequence[float]) -> dict[str, Any]:
    """Plain values for explorer.js: `thresholds` of each model rise, `found` and `alarms` count the positive and the
    other images called from there on, `own` is the step of the bundle's own threshold."""
    positive = cases[0].is_positive
    return {
        "positives": int(positive.sum()),
        "negatives": int((~positive).sum()),
        "models": [
            {"name": name, **_steps(each.score, positive, own)}
            for name, each, own in zip(names, cases, thresholds, strict=True)
        ],
    }


def as_script_text(data: dict[str, Any]) -> str:
    """JSON that may stand in a <script> element, whatever names are in it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _steps(score: Floats, positive: np.ndarray[Any, np.dtype[np.bool_]], own: float) -> dict[str, Any]:
    even = np.linspace(0, 1, EVEN_STEPS)
    by_image = np.quantile(score, np.linspace(0, 1, IMAGE_STEPS))
    # Rounded down: a step at an image's score calls that image.
    steps = np.floor(np.r_[even, by_image] * 10**DIGITS) / 10**DIGITS
    thresholds = np.unique(np.r_[steps, own])
    found, alarms = (
        len(side) - np.searchsorted(np.sort(side), thresholds, side="left")
        for side in (score[positive], score[~positive])
    )
    return {
        "own": int(np.searchsorted(thresholds, own)),
        "thresholds": thresholds.tolist(),
        "found": found.tolist(),
        "alarms": alarms.tolist(),
    }
