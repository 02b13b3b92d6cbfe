"""Is a model as good as the reference, up to a margin? The interval of the difference decides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum

from cxr.compare.statistics.estimates import Estimate

#: The measures of which less is better.
LOWER_IS_BETTER = frozenset({"brier", "log_loss", "calibration_error"})


class Verdict(StrEnum):
    """What the two-sided interval of the difference (model less reference) allows to say."""

    #: All of it lies above 0.
    BETTER = "better"
    #: All of it lies above -margin, not all above 0: not inferior (which it may be by less than the margin).
    WITHIN_MARGIN = "within the margin"
    #: All of it lies below 0, and not all above -margin.
    WORSE = "worse"
    #: It holds both 0 and -margin: too few patients to say.
    NOT_SHOWN = "not shown"


#: With fewer patients of a class than this, resamples of them say little of other patients.
FEWEST_PATIENTS = 10


def unfounded(difference: Estimate, patients: Mapping[str, int], *, alike: bool) -> str:
    """Why no verdict can rest on this interval; empty where one can. `patients` are those of each class; `alike`: the
    measure cannot tell the models apart on any image, which needs no resamples to be shown.

    Where the draws have no width no resample held an image that tells the models apart, which says nothing of images to
    come.
    """
    if alike:
        return ""
    few = [f"{count} patients of {name}" for name, count in patients.items() if count < FEWEST_PATIENTS]
    if few:
        return f"there are only {' and '.join(few)}"
    if difference.low == difference.high:
        return "the interval has no width, so that it tells nothing of other patients"
    return ""


def verdict(difference: Estimate, margin: float, *, measure: str) -> Verdict:
    """The verdict on one measure. `difference` is model less reference; where less is better its ends are exchanged.

    The readings of a non-inferiority trial's interval: Piaggio et al., CONSORT extension for noninferiority and
    equivalence trials, JAMA 308 (2012) 2594-2604, figure 1. A difference that is not defined is not shown.
    """
    low, high = difference.low, difference.high
    if measure in LOWER_IS_BETTER:
        low, high = -high, -low
    if math.isnan(low) or math.isnan(high):
        return Verdict.NOT_SHOWN
    if low > 0:
        return Verdict.BETTER
    if low > -margin:
        return Verdict.WITHIN_MARGIN
    return Verdict.WORSE if high < 0 else Verdict.NOT_SHOWN
