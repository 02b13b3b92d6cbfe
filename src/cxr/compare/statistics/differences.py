"""Paired differences of all measures between two models, with intervals and p-values from their common resamples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cxr.compare.metrics.confusion import Floats
from cxr.compare.statistics.bootstrap import LEVEL, area_difference_interval, percentile_interval
from cxr.compare.statistics.estimates import Estimate
from cxr.compare.statistics.measures import INFLATED, WHOLE, Measured, Name
from cxr.compare.statistics.noninferiority import FEWEST_PATIENTS
from cxr.compare.statistics.paired_shares import PairedShares


@dataclass(frozen=True, slots=True)
class Difference:
    """Model less reference on one measure, with its 95 % interval over the paired draws, and the two-sided p-value of
    no difference: by the draws, and by Holm over the models (NaN where it is not defined). `few_told_apart`: of a
    share, so few patients told the models apart that the interval was widened to hold Tango's."""

    value: float
    low: float
    high: float
    p_value: float
    p_holm: float = math.nan
    undefined_draws: int = 0
    few_told_apart: bool = False

    @property
    def estimate(self) -> Estimate:
        """Value and interval."""
        return Estimate(self.value, self.low, self.high, self.undefined_draws)


def differences_of(
    model: Measured, reference: Measured, shares: Mapping[str, PairedShares] | None, *, level: float = LEVEL
) -> dict[Name, Difference]:
    """Of every measure, over the same draws. `shares`: of the measures that are shares of calls, what their score
    interval is made of; None: the two are one model, whose differences need no width."""
    return {name: difference_of(name, model, reference, shares, level=level) for name in model.values}


def difference_of(
    name: Name,
    model: Measured,
    reference: Measured,
    shares: Mapping[str, PairedShares] | None,
    *,
    level: float = LEVEL,
) -> Difference:
    """Of one measure, by the percentiles of the paired draws, but where these are known to end too soon.

    Where fewer than ten patients tell two shares apart, resamples hold hardly more than these: with none the interval
    has no width, with three that speak for one model its end lies at 0. There it holds the score interval, too. Near an
    AUC of 1 resamples lie too near to it: a difference of areas is made on the scale of log odds, as each area's own
    interval is. Of what chance makes larger, by more for the one model than for the other, it holds what follows from
    the two models' own intervals.
    """
    measure, of = name
    draws = model.draws[name] - reference.draws[name]
    interval = percentile_interval(draws, level=level)
    made = Difference(
        model.values[name] - reference.values[name],
        interval.low,
        interval.high,
        bootstrap_p_value(draws),
        undefined_draws=interval.undefined_draws,
    )
    if shares is None or of != WHOLE:
        return made
    own = shares.get(measure)
    if own is not None and own.patients_told_apart < FEWEST_PATIENTS:
        return replace(_holding(made, own.interval(level=level)), few_told_apart=True)
    if measure == "auc":
        values = (model.values[name], reference.values[name])
        by_odds = area_difference_interval(model.draws[name], reference.draws[name], values, level=level)
        return replace(made, low=by_odds.low, high=by_odds.high)
    if measure in INFLATED:
        return _holding(made, recovered(*(each.estimate(measure, level=level) for each in (model, reference))))
    return made


def recovered(first: Estimate, second: Estimate) -> tuple[float, float]:
    """An interval of the first less the second from the interval of each, as if they were independent: of models of the
    same images, which err alike, it is wide (Zou and Donner, Construction of confidence limits about effect measures,
    Statistics in Medicine 27 (2008) 1693-1702, equation 3)."""
    difference = first.value - second.value
    return (
        difference - math.hypot(first.value - first.low, second.high - second.value),
        difference + math.hypot(first.high - first.value, second.value - second.low),
    )


def _holding(difference: Difference, ends: tuple[float, float]) -> Difference:
    return replace(difference, low=float(min(difference.low, ends[0])), high=float(max(difference.high, ends[1])))


def bootstrap_p_value(draws: Floats) -> float:
    """Two-sided p-value of a difference of zero by its draws: twice the smaller share of draws on either side of zero,
    draws at zero counting for both, one draw added so that it is never 0 (Davison and Hinkley 1997, sections 4.2.3 and
    4.4.1). At most 1; NaN where no draw is defined."""
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return math.nan
    smaller = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(1.0, 2 * (smaller + 1) / (len(defined) + 1))
