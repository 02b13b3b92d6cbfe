"""The comparison's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxr.cli.out import Out

if TYPE_CHECKING:  # pandas and numpy: loaded when the command runs
    from cxr.compare.nouns import Comparison, Row
    from cxr.compare.statistics.against_reference import ReferenceComparison

COLUMNS = (
    "model",
    "trained by",
    "accuracy %",
    "sensitivity %",
    "specificity %",
    "AUC",
    "MB",
    "ms/image",
    "threshold",
)


def print_comparison(comparison: Comparison, out: Out) -> None:
    """The table on stdout (nothing with --json) and what has to be said with it on stderr."""
    from cxr.compare.report import findings, words

    out.table(COLUMNS, [_cells(row) for row in comparison.rows])
    out.text("")
    lines = [(title, *map(_plain, cells)) for title, cells in words.measure_lines(comparison)]
    out.table(("measure", *(row.name for row in comparison.rows)), lines)
    if comparison.against is not None:
        out.text("")
        _print_against(comparison.against, out)
    out.say()
    overlap = findings.overlap_alerts(comparison)
    for alert in overlap:
        out.warn(alert)
    cautions = [alert for alert in findings.alerts_of(comparison) if alert not in overlap]
    for caveat in (*cautions, *findings.group_sentences(comparison), *words.caveats_of(comparison), *comparison.notes):
        out.say(f"note: {caveat}")
    test = comparison.test_set
    out.say(f"{test.images:,} test images of {test.patients:,} patients; in brackets 95 % intervals over patients")
    out.say(f"{words.DISCLAIMER}.")


def _print_against(against: ReferenceComparison, out: Out) -> None:
    from cxr.compare.report import findings, words
    from cxr.compare.statistics.measures import WHOLE
    from cxr.compare.titles import TITLES

    measure = against.measure
    columns = ("model", f"difference in {TITLES[measure]} to {against.called}", words.p_value_head(against), "verdict")
    rows = []
    for model in against.models:
        difference = words.difference(model.differences[measure, WHOLE].estimate)
        p_value = words.p_value(words.p_value_of(model, measure))
        rows.append((model.name, _plain(difference), _plain(p_value), model.verdict.value))
    out.table(columns, rows)
    out.say(words.reference_sentence(against))
    for said in findings.few_told_apart(against):
        out.say(said)


def _cells(row: Row) -> tuple[str, ...]:
    from cxr.compare.report import words

    return (
        row.name,
        row.trained_by,
        *(_plain(words.percent(row.metrics[name])) for name in ("accuracy", "sensitivity", "specificity")),
        _plain(words.area(row.metrics["auc"])),
        _plain(words.megabytes(row.model_size_bytes)),
        _plain(words.milliseconds(row.latency_ms)),
        _plain(words.decimal(row.threshold.value) if row.threshold else words.UNKNOWN),
    )


def _plain(text: str) -> str:
    """Without typographic dashes and percent signs: the unit stands in the column's head, and `awk` reads it too."""
    return text.replace(" %", "").replace("–", "-")
