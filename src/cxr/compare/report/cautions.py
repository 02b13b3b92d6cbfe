"""What has to be known before a figure is believed: where thresholds come from, and intervals made of too little."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from cxr.compare.nouns import Comparison, Row
from cxr.compare.titles import TITLES
from cxr.local_baseline.recipes import ChosenOn

#: What bundles say of thresholds that were chosen on other images than the test split's, or on none.
ELSEWHERE = frozenset({*map(str, ChosenOn), "train", "nothing"})
#: With more undefined resamples than this share the interval is of what is left of them.
MOST_UNDEFINED = 0.05
#: With fewer patients of a class than this its resamples hold nearly always the same ones.
FEWEST_PATIENTS = 5


def chosen_here(row: Row, comparison: Comparison) -> bool:
    """Whether the bundle says that its threshold was chosen on the split that it is judged on (or on one called so)."""
    if row.threshold is None or len(comparison.classes) > 2:
        return False
    said = set(re.split(r"[^a-z]+", row.threshold.chosen_on.lower()))
    return bool(said & {"test", comparison.test_set.split})


def chosen_nobody_knows_where(row: Row, comparison: Comparison) -> bool:
    """Whether the bundle does not say on which images its threshold was chosen."""
    if row.threshold is None or len(comparison.classes) > 2:
        return False
    return row.threshold.chosen_on not in ELSEWHERE and not chosen_here(row, comparison)


def chosen_here_alert(row: Row, comparison: Comparison) -> str:
    """What is said of a threshold that the judged images chose."""
    split = comparison.test_set.split
    return (
        f"The threshold of {row.name} was chosen on the {split} images that it is judged on: its sensitivity, "
        "specificity, accuracy and all else that depends on it are too good; its AUC is not touched."
    )


def thresholds_note(comparison: Comparison) -> str:
    """Where the thresholds of the table come from: no more than what is known."""
    if len(comparison.classes) > 2:
        return "An image is called by its highest probability; no threshold decides."
    said = "Every model is judged at the threshold it came with"
    here = [row.name for row in comparison.models if chosen_here(row, comparison)]
    unknown = [row.name for row in comparison.models if chosen_nobody_knows_where(row, comparison)]
    if not here and not unknown:
        return f"{said}; none is chosen on these images."
    known = [f"chosen on these very images: {', '.join(here)}"] * bool(here)
    known += [f"chosen on images that are not known: {', '.join(unknown)}"] * bool(unknown)
    return f"{said}; {'; '.join(known)}."


def cautions_of(comparison: Comparison, rows: Sequence[Row]) -> Iterator[str]:
    """What is said of thresholds that nobody knows the origin of, and of intervals that rest on little."""
    unknown = [row.name for row in rows if chosen_nobody_knows_where(row, comparison)]
    if unknown:
        yield (
            f"On which images the threshold of {', '.join(unknown)} was chosen is not known here: if it was these, "
            "what depends on it is too good."
        )
    yield from _few_patients(comparison)
    yield from (_undefined(row, comparison) for row in rows if _undefined_measures(row, comparison))


def patients_of_classes(comparison: Comparison) -> dict[str, int]:
    """Class -> patients of the judged split who have an image of it."""
    rows = comparison.manifest.split(comparison.test_set.split)
    patients = rows.groupby("label", observed=True)["patient"].nunique()
    return {name: int(patients.get(name, 0)) for name in comparison.classes}


def _few_patients(comparison: Comparison) -> Iterator[str]:
    few = [f"{count} of {name}" for name, count in patients_of_classes(comparison).items() if count < FEWEST_PATIENTS]
    if few:
        yield (
            f"There are so few patients ({', '.join(few)}) that no interval here can be believed: resamples hold the "
            "same ones again and again, or none."
        )


def _undefined_measures(row: Row, comparison: Comparison) -> dict[str, int]:
    """Title -> undefined resamples, of the measures that have too many of them (those that are not defined at all show
    no figure)."""
    most = MOST_UNDEFINED * comparison.draws.count
    return {
        TITLES[name]: estimate.undefined_draws
        for name, estimate in row.metrics.items()
        if name in TITLES and estimate.undefined_draws > most and not math.isnan(estimate.value)
    }


def _undefined(row: Row, comparison: Comparison) -> str:
    measures = _undefined_measures(row, comparison)
    return (
        f"Up to {max(measures.values()):,} of {comparison.draws.count:,} resamples do not define {', '.join(measures)} "
        f"of {row.name}; the intervals leave these out and promise too much."
    )
