"""Numbers and findings in plain words."""

from __future__ import annotations

import math

from cxr.compare.nouns import Comparison, Estimate, PointName, Row
from cxr.compare.report.cautions import cautions_of
from cxr.compare.report.naming import AT_PREVALENCE, against_the_rest, has_many_classes, title
from cxr.compare.statistics.against_reference import AgainstReference, ReferenceComparison
from cxr.compare.statistics.measures import WHOLE
from cxr.compare.statistics.shown_tests import TEST_OF
from cxr.compare.titles import TITLES

UNKNOWN = "–"
WITH_DECODING = " (with decoding)"
#: Measures that tables show as percentages.
SHARES = frozenset({"accuracy", "sensitivity", "specificity"})
#: What of the operating points beside the shipped one stands in the tables: the oracle's sensitivity is what was asked.
SHOWN_AT = {PointName.HALF: ("sensitivity", "specificity"), PointName.ORACLE: ("specificity",)}
STAND_IN_CAVEAT = (
    "{names} was trained by the emulator's stand-in, not by a cloud's AutoML service: "
    "it shows that the way works, and says nothing about what the service would reach."
)
MANY_STAND_INS_CAVEAT = (
    "{names} were trained by the emulator's stand-in, not by a cloud's AutoML service: "
    "they show that the way works, and say nothing about what the service would reach."
)

UNKNOWN_PATIENTS_CAVEAT = (
    "The names of {count} test images tell no patient, so each counts as a patient of its own: "
    "where a patient has several images, the intervals are too narrow."
)


def percent(estimate: Estimate) -> str:
    """95.4 % (93.6–97.0)."""
    if math.isnan(estimate.value):
        return UNKNOWN
    return f"{_hundred(estimate.value)} % ({_hundred(estimate.low)}–{_hundred(estimate.high)})"


def area(estimate: Estimate) -> str:
    """0.981 (0.970–0.990)."""
    if math.isnan(estimate.value):
        return UNKNOWN
    return f"{decimal(estimate.value)} ({decimal(estimate.low)}–{decimal(estimate.high)})"


def shown(measure: str, estimate: Estimate) -> str:
    """As tables show it: shares as percentages, areas and F1 as decimals."""
    return percent(estimate) if measure in SHARES else area(estimate)


def decimal(value: float) -> str:
    """Three decimals."""
    return UNKNOWN if math.isnan(value) else f"{value:.3f}"


def share(value: float | None) -> str:
    """A bare percentage, one decimal."""
    return UNKNOWN if value is None or math.isnan(value) else f"{_hundred(value)} %"


def share_here(row: Row, measure: str) -> str:
    """A share on the judged images, and where its interval over patients has no width the exact one."""
    estimate = row.metrics[measure]
    proportion = row.points[0].proportions.get(measure) if row.points else None
    if proportion is None or estimate.low != estimate.high:
        return share(estimate.value)
    low, high = proportion.exact
    return f"{share(estimate.value)} (exact: {_hundred(low)}–{_hundred(high)})"


def megabytes(size_bytes: int | None) -> str:
    """Bytes as MB (10^6), two decimals; three for what is smaller than that shows."""
    if size_bytes is None:
        return UNKNOWN
    return f"{size_bytes / 1e6:.2f}" if size_bytes >= 100_000 else f"{size_bytes / 1e6:.3f}"


def milliseconds(latency_ms: float | None) -> str:
    """Milliseconds, one decimal (two below ten)."""
    if latency_ms is None:
        return UNKNOWN
    return f"{latency_ms:.1f}" if latency_ms >= 10 else f"{latency_ms:.2f}"


def latency(row: Row) -> str:
    """Milliseconds an image, marked where they hold the decoding of a file."""
    return f"{milliseconds(row.latency_ms)}{WITH_DECODING if row.latency_includes_decoding else ''}"


def headline(comparison: Comparison) -> str:
    """The title: task, number of models, number of patients."""
    count = len(comparison.models)
    models = "one model" if count == 1 else f"{count}\N{NO-BREAK SPACE}models"
    task = " or ".join(comparison.classes) if len(comparison.classes) == 2 else ", ".join(comparison.classes)
    test = comparison.test_set
    judged_on = f"{test.images:,} images" if test.unknown_patients else f"{test.patients:,} patients"
    return f"{task}: {models} on the same {judged_on}"


def summary(comparison: Comparison) -> list[str]:
    """What was found: how many images and patients, every model's AUC with interval (with more than two classes their
    mean, then the positive class's), and the caveats. One sentence an item."""
    test = comparison.test_set
    level = f"{comparison.level:.0%}".replace("%", " %")
    models = sorted(comparison.models, key=lambda row: -row.metrics["auc"].value)
    many = has_many_classes(comparison)
    which = f", each of the {len(comparison.classes)} classes against the rest, is on average" if many else " is"
    sentences = [
        f"On {test.images:,} test images of {test.patients:,} patients, the area under the ROC curve{which} "
        f"{_areas('macro_auc' if many else 'auc', models)} (in brackets: {level} intervals)."
    ]
    if many:
        sentences.append(
            f"Of {against_the_rest(comparison)} it is {_areas('auc', models)}; floors, subgroups and costs are looked "
            "at by this one."
        )
    sentences.extend(_operating_sentence(row, comparison) for row in models)
    sentences.extend(caveats_of(comparison))
    return sentences


def _areas(measure: str, models: list[Row]) -> str:
    return listed([f"{_area_in_words(row.metrics[measure])} for {row.name}" for row in models])


def caveats_of(comparison: Comparison) -> list[str]:
    """What has to be said where patients or the origin of thresholds are not known, where intervals rest on little, and
    where a row was not trained by the service that it is named after."""
    caveats = list(cautions_of(comparison, comparison.models))
    unknown = comparison.test_set.unknown_patients
    if unknown:
        caveats.append(UNKNOWN_PATIENTS_CAVEAT.format(count=f"{unknown:,}"))
    names = [row.name for row in comparison.models if row.stand_in]
    if not names:
        return caveats
    return [
        *caveats,
        (STAND_IN_CAVEAT if len(names) == 1 else MANY_STAND_INS_CAVEAT).format(names=listed(names)),
    ]


def notes_of(comparison: Comparison) -> list[str]:
    """What could not be done, as sentences."""
    return [sentence(note) for note in comparison.notes]


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def split_policy(comparison: Comparison) -> str:
    """How training, validation and test were told apart."""
    policy = comparison.test_set.policy
    match policy.name:
        case "official":
            return "as found in the folders"
        case "grouped":
            share_of_pool = "" if policy.validation is None else f",{_of(policy.validation, 'the training pool')}"
            return f"validation grouped by patient and duplicate{share_of_pool}; test as found in the folders"
        case "folds":
            parts = "parts" if policy.folds is None else f"{policy.folds} parts"
            return (
                f"the training pool in {parts} grouped by patient and duplicate, of which the first is validation; "
                "test as found in the folders"
            )
        case "resplit":
            shares = f"validation{_of(policy.validation, 'all')}, test{_of(policy.test, 'all')}"
            return f"all images split anew, grouped by patient and duplicate: {shares}"


def _of(part: float | None, whole: str) -> str:
    return "" if part is None else f" {part:.0%} of {whole}".replace("%", " %")


def difference(estimate: Estimate) -> str:
    """-0.004 (-0.012 to +0.004)."""
    if math.isnan(estimate.value):
        return UNKNOWN
    return f"{_signed(estimate.value)} ({ends(estimate)})"


def ends(estimate: Estimate) -> str:
    """-0.012 to +0.004."""
    return f"{_signed(estimate.low)} to {_signed(estimate.high)}"


def p_value(value: float) -> str:
    """Three decimals, "<0.001" below that; unknown where it is not defined."""
    if math.isnan(value):
        return UNKNOWN
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def measure_lines(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """All measures, one line each: what it is, and every row's value with its interval. First at the models' own
    thresholds, then at the other operating points."""
    first = comparison.models[0]
    lines = [(_title(name, comparison), [area(row.metrics[name]) for row in comparison.rows]) for name in first.metrics]
    for place, point in enumerate(first.points[1:], start=1):
        for name in SHOWN_AT[point.name]:
            cells = [area(row.points[place].metrics[name]) if row.points else UNKNOWN for row in comparison.rows]
            lines.append((f"{TITLES[name]} {_at(point.name, comparison)}", cells))
    return lines


def _title(name: str, comparison: Comparison) -> str:
    said = title(name, comparison)
    return f"{said} at a prevalence of {share(comparison.prevalence)}" if name.endswith(AT_PREVALENCE) else said


def _at(point: PointName, comparison: Comparison) -> str:
    if point is PointName.HALF:
        return "at a threshold of 0.5"
    return f"at a sensitivity of {share(comparison.oracle_sensitivity)} (oracle: chosen on these images)"


def reference_sentence(against: ReferenceComparison, comparison: Comparison | None = None) -> str:
    """Which model the others are held against, why, on what, and with which margin; what p-values and verdicts rest
    on. With `comparison` the measure says of which class it is."""
    measure = title(against.measure, comparison) if comparison else TITLES[against.measure]
    return (
        f"reference: {against.called}, {against.reason}; differences in {measure}, "
        f"margin {against.margin:g}, 95 % intervals over patients; p-values by {against.p_value_by}, after Holm; "
        f"verdicts by {joint_interval(against)}"
    )


def joint_interval(against: ReferenceComparison) -> str:
    """What the verdicts rest on: the 95 % interval, or of several models each one's wider one."""
    if len(against.models) == 1:
        return "the interval"
    return (
        f"each model's {joint_level(against)} interval (Bonferroni), so that those of all {len(against.models)} models "
        "hold together with 95 %"
    )


def joint_level(against: ReferenceComparison) -> str:
    """98.33 % of three models, say."""
    return f"{100 * against.joint_level:.4g} %"


def reading_of(against: ReferenceComparison) -> str:
    """How the verdict is read off the plot of differences. Differences are never turned, so that where less is better
    the good side is the left one."""
    side = "left" if against.less_is_better else "right"
    said = f"All of an interval {side} of it is within the margin, all of it {side} of 0 is better"
    return f"{said}: less {TITLES[against.measure]} is better." if against.less_is_better else f"{said}."


def p_value_of(model: AgainstReference, measure: str) -> float:
    """The Holm p-value that belongs to a measure: of the AUC DeLong's over patients, of what is counted McNemar's over
    patients, of the rest the resamples'."""
    test = TEST_OF.get(measure)
    return model.tests[test].p_holm if test else model.differences[measure, WHOLE].p_holm


def p_value_head(against: ReferenceComparison) -> str:
    """The head of the p-values' column: what they come from."""
    return f"p ({against.p_value_by}; Holm)"


def listed(items: list[str]) -> str:
    """a; a and b; a, b and c."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _area_in_words(estimate: Estimate) -> str:
    return f"{decimal(estimate.value)} ({decimal(estimate.low)} to {decimal(estimate.high)})"


def _operating_sentence(row: Row, comparison: Comparison) -> str:
    if has_many_classes(comparison):
        right = [f"{share(report.recall.value)} of {report.label}" for report in row.per_class]
        return f"By the highest probability, {row.name} is right on {listed(right)}."
    found, cleared = row.metrics["sensitivity"].value, row.metrics["specificity"].value
    (other,) = [name for name in comparison.classes if name != comparison.positive_class]
    return (
        f"At its own threshold, {row.name} is right on {share(found)} of {comparison.positive_class} and on "
        f"{share(cleared)} of {other}."
    )


def _signed(value: float) -> str:
    if math.isnan(value):
        return UNKNOWN
    text = f"{value:+.3f}"
    return "0.000" if float(text) == 0 else text


def _hundred(value: float) -> str:
    return UNKNOWN if math.isnan(value) else f"{100 * value:.1f}"
