"""How a model does in each subgroup, against the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxr.compare.metrics.confusion import Bools, Floats, ratio
from cxr.compare.metrics.ranking import Ranking
from cxr.compare.statistics.bootstrap import area_interval, patient_numbers, percentile_interval, resample
from cxr.compare.statistics.estimates import Draws, Estimate
from cxr.compare.subgroups.groups import Group

#: Patients of either side that a group must have to be called the worst: with fewer, luck decides. An image whose
#: patient is not known counts as a patient of its own, as it does in the resamples.
MIN_PATIENTS = 10
WHOLE = -1


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One model in one group: AUC, sensitivity and specificity of its own calls, and how far the group's AUC lies from
    the whole split's (paired draws). `positives` and `negatives` count images, those that complete the group included,
    and `positive_patients` and `negative_patients` the patients who have such an image there."""

    group: Group
    positives: int
    negatives: int
    patients: int
    positive_patients: int
    negative_patients: int
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    difference: Estimate

    @property
    def is_judged(self) -> bool:
        """Whether there are enough patients of either side."""
        return min(self.positive_patients, self.negative_patients) >= MIN_PATIENTS


def judge_groups(
    groups: Sequence[Group],
    *,
    is_positive: Bools,
    score: Floats,
    called: Bools,
    patients: Sequence[str],
    draws: Draws,
) -> tuple[GroupResult, ...]:
    """Each group's measures with 95 % intervals over patients. `score` [N] is the probability of the positive class,
    `called` [N] where it was called."""
    patient, number_of_patients = patient_numbers(patients)
    everyone = np.ones(len(score), dtype=np.bool_)
    parts = {WHOLE: everyone, **{number: group.inside for number, group in enumerate(groups)}}
    areas = {number: Ranking(is_positive[inside], score[inside], patient[inside]) for number, inside in parts.items()}
    columns = np.stack([group.inside for group in groups] or [everyone], axis=1)
    counted = np.concatenate(
        [columns & side[:, None] for side in (is_positive & called, is_positive, ~is_positive & ~called, ~is_positive)],
        axis=1,
    )
    by_patient = np.stack([np.bincount(patient, column, number_of_patients) for column in counted.T], axis=1)

    def measure(weights: Floats) -> dict[tuple[str, int], Floats]:
        made = {("auc", number): areas[number](weights).auc for number in parts}
        hits, positives, rejections, negatives = np.split(weights @ by_patient, 4, axis=1)
        for number in range(len(groups)):
            made["sensitivity", number] = ratio(hits[:, number], positives[:, number])
            made["specificity", number] = ratio(rejections[:, number], negatives[:, number])
            made["difference", number] = made["auc", number] - made["auc", WHOLE]
        return made

    values = measure(np.ones((1, number_of_patients)))
    (drawn,) = resample([measure], number_of_patients, draws=draws.count, seed=draws.seed)

    def estimate(name: str, number: int) -> Estimate:
        value, of_draws = float(values[name, number][0]), drawn[name, number]
        interval = area_interval(of_draws, value) if name == "auc" else percentile_interval(of_draws)
        return Estimate(value, interval.low, interval.high, interval.undefined_draws)

    keys = np.asarray(patients, dtype=np.str_)
    return tuple(
        GroupResult(
            group=group,
            positives=int((group.inside & is_positive).sum()),
            negatives=int((group.inside & ~is_positive).sum()),
            patients=len(np.unique(keys[group.inside])),
            positive_patients=len(np.unique(keys[group.inside & is_positive])),
            negative_patients=len(np.unique(keys[group.inside & ~is_positive])),
            **{name: estimate(name, number) for name in ("auc", "sensitivity", "specificity", "difference")},
        )
        for number, group in enumerate(groups)
    )


def worst_group(results: Sequence[GroupResult]) -> GroupResult | None:
    """The group of the lowest AUC among those that are judged; None where there is none."""
    judged = [result for result in results if result.is_judged and not np.isnan(result.auc.value)]
    return min(judged, key=lambda result: result.auc.value, default=None)
