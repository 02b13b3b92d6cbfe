"""What was found beside the figures, in plain words: verdicts, floors, overlap, subgroups, what it took."""

from __future__ import annotations

from collections.abc import Sequence

from cxr.bundle import ModelFormat, Origin
from cxr.compare.effort import Effort
from cxr.compare.nouns import Comparison, Row
from cxr.compare.report import naming, words
from cxr.compare.report.cautions import calibrated_here, calibrated_here_alert, chosen_here, chosen_here_alert
from cxr.compare.statistics.against_reference import AgainstReference, ReferenceComparison
from cxr.compare.statistics.estimates import Estimate
from cxr.compare.statistics.measures import WHOLE
from cxr.compare.statistics.noninferiority import FEWEST_PATIENTS, LOWER_IS_BETTER, Verdict
from cxr.compare.titles import TITLES

#: What the interval of the difference allows to say.
VERDICTS = {
    Verdict.BETTER: "is in its favour with all of its interval: better",
    Verdict.WITHIN_MARGIN: "is within the margin of {margin:g}",
    Verdict.WORSE: "is against it: worse, and not shown to be within the margin of {margin:g}",
    Verdict.NOT_SHOWN: "leaves open whether it is within the margin of {margin:g}: too few patients to say",
}
UNFOUNDED = "leaves open whether it is within the margin of {margin:g}"
BEYOND = "is against it by more than the margin of {margin:g}: worse"


def alerts_of(comparison: Comparison) -> list[str]:
    """What puts figures in doubt, the worst first: test images or patients that were learned from, thresholds and
    calibrations that the test images chose, training that nobody can look into, floors that are not cleared."""
    return _alerts(comparison.models, comparison)


def alerts_about(row: Row, comparison: Comparison) -> list[str]:
    """Those of `alerts_of` that are about one model."""
    return _alerts([row], comparison)


def _alerts(rows: Sequence[Row], comparison: Comparison) -> list[str]:
    unknown = [row.name for row in rows if _is_of_unknown_training(row)]
    imported = [row.name for row in rows if _is_imported_model(row)]
    return [
        *overlap_alerts(comparison),
        *(chosen_here_alert(row, comparison) for row in rows if chosen_here(row, comparison)),
        *(calibrated_here_alert(row, comparison) for row in rows if calibrated_here(row, comparison)),
        *([_unknown_training(unknown)] if unknown else []),
        *([_imported(imported)] if imported else []),
        *(_floors(row, comparison) for row in rows if row.floors_not_cleared),
    ]


def overlap_alerts(comparison: Comparison) -> list[str]:
    """One sentence when the test split shares images or patients with what was learned from; else none."""
    overlap = comparison.overlap
    if overlap is None or overlap.is_clean:
        return []
    shared = []
    if overlap.images:
        shared.append(f"{overlap.images:,} of {comparison.test_set.images:,} test images (the same or nearly)")
    if overlap.patients:
        shared.append(f"{overlap.patients:,} of {comparison.test_set.patients:,} test patients")
    return [
        f"Train or validation of this manifest hold {words.listed(shared)}, for example {overlap.examples[0]}: "
        "all figures here are too good by an amount that nobody knows."
    ]


def verdict_sentence(
    model: AgainstReference, against: ReferenceComparison, comparison: Comparison | None = None
) -> str:
    """The flagship: the difference in AUC to AutoML, -0.004 (-0.012 to +0.004), is within the margin of 0.02. With
    `comparison` the measure says of which class it is."""
    estimate = model.differences[against.measure, WHOLE].estimate
    said = VERDICTS[model.verdict]
    if model.verdict is Verdict.WORSE and _is_beyond(model.joint, against):
        said = BEYOND
    if model.unfounded:
        said = f"{UNFOUNDED}: {model.unfounded}"
    measure = naming.title(against.measure, comparison) if comparison else TITLES[against.measure]
    subject = f"{model.name}: the difference in {measure} to {against.called}"
    sentence = f"{subject}, {words.difference(estimate)}, {said.format(margin=against.margin)}."
    return f"{sentence}{_alone_in_words(model, against)}"


def _alone_in_words(model: AgainstReference, against: ReferenceComparison) -> str:
    """What the interval that is shown would have said, where the verdict is another because several were asked."""
    if model.verdict is model.verdict_alone:
        return ""
    joint = f"{words.joint_level(against)} interval, {words.ends(model.joint)}"
    return (
        f" (Asked alone, by its 95 % interval: {model.verdict_alone.value}. With {len(against.models)} models asked, "
        f"its {joint}, decides.)"
    )


def few_told_apart(against: ReferenceComparison) -> list[str]:
    """Which intervals of the verdicts' measure are not by resamples alone, in one sentence; none where all are."""
    names = [model.name for model in against.models if model.differences[against.measure, WHOLE].few_told_apart]
    if not names:
        return []
    return [
        f"Fewer than {FEWEST_PATIENTS} patients tell {against.called} apart from {words.listed(names)} in "
        f"{TITLES[against.measure]}, too few to resample: there the interval is widened to hold Tango's score interval."
    ]


def group_sentences(comparison: Comparison) -> list[str]:
    """The models' worst subgroups: one sentence a group, with all models that do worst in it."""
    worst: dict[tuple[str, str], list[str]] = {}
    for row in comparison.models:
        result = row.worst_group
        if result is not None:
            difference = f"{words.difference(result.difference)} against all images"
            said = f"of {row.name}, {naming.title('auc', comparison)} {words.area(result.auc)}, {difference}"
            worst.setdefault((result.group.name, result.group.family), []).append(said)
    return [
        f"“{name}” ({family}) is the worst subgroup {'; '.join(models)}." for (name, family), models in worst.items()
    ]


def group_count(images: int, patients: int) -> str:
    """How many images of how many patients."""
    return f"{images:,} ({patients:,} patient{'' if patients == 1 else 's'})"


def floors_in_words(row: Row) -> str:
    """Which floors a model does not clear; empty where it clears all."""
    return ", ".join(row.floors_not_cleared)


def money(effort: Effort | None) -> str:
    """What was paid, and on the emulator what Google would take."""
    if effort is None or (effort.usd is None and effort.list_usd is None):
        return words.UNKNOWN
    if effort.usd == 0 and effort.list_usd:
        return f"0 here (list price at most {effort.list_usd:,.2f})"
    if effort.usd is None:
        return f"planned at most {effort.list_usd:,.2f}"
    return f"{'at most ' if effort.is_at_most else ''}{effort.usd:,.2f}" if effort.usd else "0"


def minutes(effort: Effort | None) -> str:
    """Minutes of training, one decimal."""
    return words.UNKNOWN if effort is None or effort.training_minutes is None else f"{effort.training_minutes:.1f}"


def _is_beyond(difference: Estimate, against: ReferenceComparison) -> bool:
    """Whether all of the interval lies on the bad side of the margin."""
    if against.measure in LOWER_IS_BETTER:
        return difference.low > against.margin
    return difference.high < -against.margin


def _is_of_unknown_training(row: Row) -> bool:
    info = row.bundle.info if row.bundle else None
    return info is not None and info.origin is Origin.IMPORTED and info.format is ModelFormat.PREDICTIONS


def _is_imported_model(row: Row) -> bool:
    info = row.bundle.info if row.bundle else None
    return info is not None and info.origin is Origin.IMPORTED and info.format is not ModelFormat.PREDICTIONS


def _unknown_training(names: list[str]) -> str:
    return (
        f"What {words.listed(names)} learned from is not known here: whether these test images were among it cannot be "
        "checked."
    )


def _imported(names: list[str]) -> str:
    was = "was" if len(names) == 1 else "were"
    return (
        f"{words.listed(names)} {was} trained by another program: that it learned from this manifest's training images "
        "is what was said when it was imported, and cannot be checked here."
    )


def _floors(row: Row, comparison: Comparison) -> str:
    areas = {floor.name: floor.metrics["auc"].value for floor in comparison.floors}
    floors = [f"{name} ({words.decimal(areas[name])})" for name in row.floors_not_cleared]
    named = f"the {'floor' if len(floors) == 1 else 'floors'} {words.listed(floors)}"
    lower = words.decimal(row.metrics["auc"].low)
    return (
        f"{row.name} does not clear {named}: the lower end of the interval of its {naming.title('auc', comparison)} is "
        f"{lower}. It may have learned no more than that."
    )
