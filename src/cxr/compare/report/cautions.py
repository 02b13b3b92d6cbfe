"""What has to be known before a figure is believed: where thresholds come from, and intervals made of too little."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from cxr.compare.metrics.confusion import DECIDED
from cxr.compare.nouns import Comparison, Row
from cxr.compare.report.naming import has_many_classes, title
from cxr.compare.titles import TITLES
from cxr.local_baseline.recipes import ChosenOn

#: What bundles say of thresholds and calibrations that were chosen on other images than the test split's, or on none.
ELSEWHERE = frozenset({*map(str, ChosenOn), "train", "nothing"})
#: With more undefined resamples than this share the interval is of what is left of them.
MOST_UNDEFINED = 0.05
#: With fewer patients of a class than this its resamples hold nearly always the same ones.
FEWEST_PATIENTS = 5


def chosen_here(row: Row, comparison: Comparison) -> bool:
    """Whether the bundle says that its threshold was chosen on the split that it is judged on (or on one called so)."""
    if row.threshold is None or has_many_classes(comparison):
        return False
    return _names_the_split(row.threshold.chosen_on, comparison)


def calibrated_here(row: Row, comparison: Comparison) -> bool:
    """Whether the bundle says that its calibration was chosen on the split that it is judged on."""
    calibration = row.bundle.info.calibration if row.bundle else None
    return calibration is not None and _names_the_split(calibration.chosen_on, comparison)


def _names_the_split(chosen_on: str, comparison: Comparison) -> bool:
    said = set(re.split(r"[^a-z]+", chosen_on.lower()))
    return bool(said & {"test", comparison.test_set.split})


def chosen_nobody_knows_where(row: Row, comparison: Comparison) -> bool:
    """Whether the bundle does not say on which images its threshold was chosen."""
    if row.threshold is None or has_many_classes(comparison):
        return False
    return row.threshold.chosen_on not in ELSEWHERE and not chosen_here(row, comparison)


def chosen_here_alert(row: Row, comparison: Comparison) -> str:
    """What is said of a threshold that the judged images chose."""
    split = comparison.test_set.split
    return (
        f"The threshold of {row.name} was chosen on the {split} images that it is judged on: its sensitivity, "
        "specificity, accuracy and all else that depends on it are too good; its AUC is not touched."
    )


def calibrated_here_alert(row: Row, comparison: Comparison) -> str:
    """What is said of a calibration that the judged images chose."""
    split = comparison.test_set.split
    return (
        f"The calibration of {row.name} was chosen on the {split} images that it is judged on: its Brier score, log "
        "loss and calibration error are too good."
    )


def thresholds_note(comparison: Comparison) -> str:
    """Where the thresholds of the table come from: no more than what is known."""
    if has_many_classes(comparison):
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
    yield from (_calibrated_somewhere(row, comparison) for row in rows if _is_calibrated_somewhere(row, comparison))
    yield from _few_patients(comparison)
    yield from (_undefined(row, comparison) for row in rows if _undefined_measures(row, comparison))
    yield from (_without_width(row, comparison) for row in rows if _measures_without_width(row))


def patients_of_classes(comparison: Comparison) -> dict[str, int]:
    """Class -> patients of the judged split who have an image of it."""
    rows = comparison.manifest.split(comparison.test_set.split)
    patients = rows.groupby("label", observed=True)["patient"].nunique()
    return {name: int(patients.get(name, 0)) for name in comparison.classes}


def _is_calibrated_somewhere(row: Row, comparison: Comparison) -> bool:
    calibration = row.bundle.info.calibration if row.bundle else None
    return calibration is not None and calibration.chosen_on not in ELSEWHERE and not calibrated_here(row, comparison)


def _calibrated_somewhere(row: Row, comparison: Comparison) -> str:
    these = f"these {comparison.test_set.split} images"
    return (
        f"On which images the calibration of {row.name} was chosen is not known here: if it was {these}, its Brier "
        "score, log loss and calibration error are too good."
    )


def _measures_without_width(row: Row) -> list[str]:
    """Measures whose resamples are all alike."""
    return [name for name in (*DECIDED, "auc", "average_precision") if row.metrics[name].low == row.metrics[name].high]


def _without_width(row: Row, comparison: Comparison) -> str:
    """The exact intervals of what has them: resamples can only hold errors that were made."""
    measures = {name: title(name, comparison) for name in _measures_without_width(row)}
    proportions = row.points[0].proportions if row.points else {}
    exact = [
        f"{called} {100 * proportions[name].exact[0]:.1f} to {100 * proportions[name].exact[1]:.1f} %"
        for name, called in measures.items()
        if name in proportions
    ]
    said = (
        f"The resamples of {row.name} are all alike in {', '.join(measures.values())}: an interval without width says "
        "nothing of other patients."
    )
    return f"{said} The exact intervals, images taken as independent: {'; '.join(exact)}." if exact else said


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
        title(name, comparison): estimate.undefined_draws
        for name, estimate in row.metrics.items()
        if name in TITLES and estimate.undefined_draws > most and not math.isnan(estimate.value)
    }


def _undefined(row: Row, comparison: Comparison) -> str:
    measures = _undefined_measures(row, comparison)
    return (
        f"Up to {max(measures.values()):,} of {comparison.draws.count:,} resamples do not define {', '.join(measures)} "
        f"of {row.name}; the intervals leave these out and promise too much."
    )
