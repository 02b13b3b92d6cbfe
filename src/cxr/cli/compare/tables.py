"""The comparison's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxr.about import RESEARCH_USE
from cxr.cli.out import Out

if TYPE_CHECKING:  # pandas and numpy: loaded when the command runs
    from cxr.compare.nouns import Comparison, Row
    from cxr.compare.statistics.against_reference import ReferenceComparison


def print_comparison(comparison: Comparison, out: Out) -> None:
    """The table on stdout (nothing with --json) and what has to be said with it on stderr."""
    from cxr.compare.report import findings, words

    out.table(_columns(comparison), [_cells(row, comparison) for row in comparison.rows])
    out.text("")
    _print_classes(comparison, out)
    lines = [(title, *map(_plain, cells)) for title, cells in words.measure_lines(comparison)]
    out.table(("measure", *(row.name for row in comparison.rows)), lines)
    if comparison.against is not None:
        out.text("")
        _print_against(comparison.against, comparison, out)
    out.say()
    for alert in findings.alerts_of(comparison):
        out.warn(alert)
    for caveat in (*findings.group_sentences(comparison), *words.caveats_of(comparison), *comparison.notes):
        out.say(f"note: {caveat}")
    test = comparison.test_set
    out.say(f"{test.images:,} test images of {test.patients:,} patients; in brackets 95 % intervals over patients")
    out.say(f"{RESEARCH_USE}.")


def _print_classes(comparison: Comparison, out: Out) -> None:
    """With more than two classes, a table of these."""
    from cxr.compare.report.class_table import HEADS, class_blocks

    lines = [
        (block.name, block.images, line.row.name, *map(_plain, line.cells))
        for block in class_blocks(comparison)
        for line in block.lines
    ]
    if lines:
        out.table(("class", "images", "model", *HEADS), lines)
        out.text("")


def _print_against(against: ReferenceComparison, comparison: Comparison, out: Out) -> None:
    from cxr.compare.report import findings, naming, words
    from cxr.compare.statistics.measures import WHOLE

    measure = against.measure
    head = f"difference in {naming.title(measure, comparison)} to {against.called}"
    columns = ("model", head, words.p_value_head(against), "verdict")
    rows = []
    for model in against.models:
        difference = words.difference(model.differences[measure, WHOLE].estimate)
        p_value = words.p_value(words.p_value_of(model, measure))
        rows.append((model.name, _plain(difference), _plain(p_value), model.verdict.value))
    out.table(columns, rows)
    out.say(words.reference_sentence(against, comparison))
    for said in findings.few_told_apart(against):
        out.say(said)


def _columns(comparison: Comparison) -> tuple[str, ...]:
    """With more than two classes no threshold decides, and none is shown."""
    from cxr.compare.report import naming, words

    shown = naming.shown_measures(comparison)
    measures = (f"{naming.title(name, comparison)}{' %' if name in words.SHARES else ''}" for name in shown)
    last = () if naming.has_many_classes(comparison) else ("threshold",)
    return ("model", "trained by", *measures, "MB", "ms/image", *last)


def _cells(row: Row, comparison: Comparison) -> tuple[str, ...]:
    from cxr.compare.report import naming, words

    threshold = words.decimal(row.threshold.value) if row.threshold else words.UNKNOWN
    return (
        row.name,
        row.trained_by,
        *(_plain(words.shown(name, row.metrics[name])) for name in naming.shown_measures(comparison)),
        _plain(words.megabytes(row.model_size_bytes)),
        _plain(words.latency(row)),
        *(() if naming.has_many_classes(comparison) else (_plain(threshold),)),
    )


def _plain(text: str) -> str:
    """Without typographic dashes and percent signs: the unit stands in the column's head, and `awk` reads it too."""
    return text.replace(" %", "").replace("–", "-")
