"""The comparison as a CSV file for spreadsheets and as a Markdown table for a README."""

from __future__ import annotations

import csv
import io
import math

from cxr.about import RESEARCH_USE
from cxr.compare.nouns import Comparison, Row
from cxr.compare.report import naming, words
from cxr.compare.report.cautions import thresholds_note
from cxr.compare.report.class_table import HEADS, MEANS, class_blocks
from cxr.compare.report.findings import alerts_of, floors_in_words
from cxr.compare.results.markdown import code, plain_text, table_line
from cxr.compare.statistics.against_reference import AgainstReference
from cxr.compare.statistics.differences import Difference
from cxr.compare.statistics.estimates import Estimate
from cxr.compare.statistics.intervals import proportions
from cxr.compare.statistics.measures import WHOLE
from cxr.spreadsheets import spreadsheet_text

#: Of a CSV, every measure with its interval.
ENDS = ("value", "low", "high")


def csv_table(comparison: Comparison) -> str:
    """One line a row, one column a figure: measures in 0..1 with `_low` and `_high` beside each, empty where one is not
    defined, and `_exact_low` and `_exact_high` of shares (Clopper and Pearson, images taken as independent). With more
    than two classes each one's figures are in columns like `recall_of_VIRAL`. Differences to the reference are in the
    columns that begin with `difference_`."""
    stream = io.StringIO()
    lines = [_line(comparison, row) for row in comparison.rows]
    columns = list(dict.fromkeys(column for line in lines for column in line))
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def markdown_table(comparison: Comparison) -> str:
    """The table, with more than two classes a second one of these, what it was measured on and what has to be said with
    it."""
    shown = naming.shown_measures(comparison)
    units = (" %" if name in words.SHARES else "" for name in shown)
    heads = (f"{naming.title(name, comparison)}{unit}" for name, unit in zip(shown, units, strict=True))
    head = ["model", "trained by", *heads, "MB", "ms/image"]
    against = {model.name: model for model in comparison.against.models} if comparison.against else {}
    if comparison.against:
        measure = naming.title(comparison.against.measure, comparison)
        head.append(f"difference to {comparison.against.called} in {measure}, margin {comparison.against.margin:g}")
    lines = [head, ["---"] * len(head)]
    for row in comparison.rows:
        cells = [row.name, row.trained_by, *(_bare(words.shown(name, row.metrics[name])) for name in shown)]
        cells += [words.megabytes(row.model_size_bytes), words.latency(row)]
        if comparison.against:
            model = against.get(row.name) if row.bundle else None
            cells.append(_difference_cell(model, comparison.against.measure) if model else "")
        lines.append(cells)
    sentences = [
        *alerts_of(comparison),
        *words.caveats_of(comparison),
        *words.notes_of(comparison),
        f"{RESEARCH_USE}.",
    ]
    parts = [_table(lines), *_classes(comparison), _measured_on(comparison), *map(plain_text, sentences)]
    return "\n\n".join(parts) + "\n"


def _classes(comparison: Comparison) -> list[str]:
    """The table of classes; nothing for two."""
    blocks = class_blocks(comparison)
    head = ["class", "images", "model", *HEADS]
    lines = [[block.name, f"{block.images:,}", line.row.name, *line.cells] for block in blocks for line in block.lines]
    return [_table([head, ["---"] * len(head), *lines])] if blocks else []


def _table(lines: list[list[str]]) -> str:
    return "\n".join(table_line(line) for line in lines)


def _measured_on(comparison: Comparison) -> str:
    """What the figures are of: images, the positive class, how an image is called, the verdicts' measure."""
    test = comparison.test_set
    said = (
        f"{test.images:,} test images of {test.patients:,} patients, manifest {code(test.manifest_hash[:12])}; in "
        "brackets 95 % intervals that resample patients."
    )
    whose = (
        f"Sensitivity, specificity and AUC of one class are those of {naming.against_the_rest(comparison)}."
        if naming.has_many_classes(comparison)
        else f"{comparison.positive_class} is positive."
    )
    sentences = [whose, thresholds_note(comparison)]
    if comparison.against:
        sentences.append(words.sentence(words.reference_sentence(comparison.against, comparison)))
    return f"{said} {plain_text(' '.join(sentences))}"


def _difference_cell(model: AgainstReference, measure: str) -> str:
    """-0.004 (-0.012 to +0.004), p = 0.312: within the margin. Which test the p-value is of is said below the table."""
    said = words.difference(model.differences[measure, WHOLE].estimate)
    p_value = words.p_value(words.p_value_of(model, measure))
    p_value = f"p {p_value}" if p_value.startswith("<") or p_value == words.UNKNOWN else f"p = {p_value}"
    return f"{said}, {p_value}: {model.verdict.value}"


def _line(comparison: Comparison, row: Row) -> dict[str, str]:
    line = {
        "name": spreadsheet_text(row.name),
        "kind": row.kind.value,
        "trained_by": spreadsheet_text(row.trained_by),
        "stand_in": str(row.stand_in).lower(),
    }
    line["positive_class"] = spreadsheet_text(comparison.positive_class)
    for name, estimate in row.metrics.items():
        line |= _columns(name, estimate)
    for name, share in proportions(row.confusion, comparison.classes.index(comparison.positive_class)).items():
        low, high = share.exact
        line |= {f"{name}_exact_low": _number(low), f"{name}_exact_high": _number(high)}
    for report in row.per_class:
        line[f"images_of_{report.label}"] = str(report.support)
        for measure in MEANS:
            line |= _columns(f"{measure}_of_{report.label}", getattr(report, measure))
    model = None
    if comparison.against:
        others = comparison.against.models if row.bundle else ()
        model = next((model for model in others if model.name == row.name), None)
        line["reference"] = spreadsheet_text(comparison.against.called)
        line["verdict"] = model.verdict.value if model else ""
        line |= {"verdict_measure": comparison.against.measure, "margin": _number(comparison.against.margin)}
        difference = model.differences[comparison.against.measure, WHOLE] if model else None
        line |= _columns(f"difference_{comparison.against.measure}", difference)
    effort, bundle = row.effort, row.bundle
    decides = row.threshold is not None and not naming.has_many_classes(comparison)
    return line | {
        "threshold": _number(row.threshold.value if row.threshold and decides else None),
        "model_size_bytes": _number(row.model_size_bytes),
        "latency_ms": _number(row.latency_ms),
        "latency_includes_decoding": str(row.latency_includes_decoding).lower() if row.latency_ms else "",
        "training_minutes": _number(effort.training_minutes if effort else None),
        "usd": _number(effort.usd if effort else None),
        "list_usd": _number(effort.list_usd if effort else None),
        "floors_not_cleared": floors_in_words(row) if row.bundle else "",
        "worst_subgroup": spreadsheet_text(row.worst_group.group.name) if row.worst_group else "",
        "manifest_hash": comparison.test_set.manifest_hash,
        "bundle_hash": bundle.hash if bundle else "",
        "predictions_sha256": row.predictions.header.rows_sha256 if row.predictions else "",
    }


def _columns(name: str, estimate: Estimate | Difference | None) -> dict[str, str]:
    """The value's column and those of its interval's ends."""
    ends = {end: name if end == "value" else f"{name}_{end}" for end in ENDS}
    return {column: _number(getattr(estimate, end) if estimate else None) for end, column in ends.items()}


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.8g}"


def _bare(text: str) -> str:
    """Without the unit, which stands in the column's head."""
    return text.replace(" %", "")
