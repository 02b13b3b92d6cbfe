"""The comparison as a CSV file for spreadsheets and as a Markdown table for a README."""

from __future__ import annotations

import csv
import io
import math

from cxr.compare.markdown import code, plain_text, spreadsheet_text, table_line
from cxr.compare.nouns import Comparison, Row
from cxr.compare.report import words
from cxr.compare.report.findings import alerts_of, floors_in_words
from cxr.compare.statistics.against_reference import AgainstReference
from cxr.compare.statistics.measures import WHOLE

#: What a README's table shows; the CSV has all.
SHOWN = ("accuracy", "sensitivity", "specificity")
#: Of a CSV, every measure with its interval.
ENDS = ("value", "low", "high")


def csv_table(comparison: Comparison) -> str:
    """One line a row, one column a figure: measures in 0..1 with `_low` and `_high` beside each, empty where one is not
    defined. Differences to the reference are in the columns that begin with `difference_`."""
    stream = io.StringIO()
    lines = [_line(comparison, row) for row in comparison.rows]
    columns = list(dict.fromkeys(column for line in lines for column in line))
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def markdown_table(comparison: Comparison) -> str:
    """The table, what it was measured on and what has to be said with it."""
    test = comparison.test_set
    head = ["model", "trained by", *(f"{name} %" for name in SHOWN), "AUC", "MB", "ms/image"]
    against = {model.name: model for model in comparison.against.models} if comparison.against else {}
    if comparison.against:
        head.append(f"difference to {comparison.against.called}")
    lines = [head, ["---"] * len(head)]
    for row in comparison.rows:
        cells = [row.name, row.trained_by, *(_bare(words.percent(row.metrics[name])) for name in SHOWN)]
        cells += [words.area(row.metrics["auc"]), words.megabytes(row.model_size_bytes)]
        cells.append(words.milliseconds(row.latency_ms))
        if comparison.against:
            model = against.get(row.name) if row.bundle else None
            cells.append(_difference_cell(model, comparison.against.measure) if model else "")
        lines.append(cells)
    table = "\n".join(table_line(line) for line in lines)
    measured_on = (
        f"{test.images:,} test images of {test.patients:,} patients, manifest {code(test.manifest_hash[:12])}; in "
        "brackets 95 % intervals that resample patients."
    )
    sentences = [
        *alerts_of(comparison),
        *words.caveats_of(comparison),
        f"{words.DISCLAIMER}.",
    ]
    if comparison.against:
        sentences.insert(0, _capital(f"{words.reference_sentence(comparison.against)}."))
    return "\n\n".join([table, measured_on, *(plain_text(sentence) for sentence in sentences)]) + "\n"


def _difference_cell(model: AgainstReference, measure: str) -> str:
    """-0.004 (-0.012 to +0.004), p = 0.312: within the margin. Which test the p-value is of is said below the table."""
    said = words.difference(model.differences[measure, WHOLE].estimate)
    p_value = words.p_value(words.p_value_of(model, measure))
    p_value = f"p {p_value}" if p_value.startswith("<") or p_value == words.UNKNOWN else f"p = {p_value}"
    return f"{said}, {p_value}: {model.verdict.value}"


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _line(comparison: Comparison, row: Row) -> dict[str, str]:
    line = {
        "name": spreadsheet_text(row.name),
        "kind": row.kind.value,
        "trained_by": spreadsheet_text(row.trained_by),
        "stand_in": str(row.stand_in).lower(),
    }
    for name, estimate in row.metrics.items():
        line |= {_column(name, end): _number(getattr(estimate, end)) for end in ENDS}
    model = None
    if comparison.against:
        others = comparison.against.models if row.bundle else ()
        model = next((model for model in others if model.name == row.name), None)
        line["reference"] = spreadsheet_text(comparison.against.called)
        line["verdict"] = model.verdict.value if model else ""
        difference = model.differences[comparison.against.measure, WHOLE] if model else None
        name = f"difference_{comparison.against.measure}"
        line |= {_column(name, end): _number(getattr(difference, end)) if difference else "" for end in ENDS}
    effort, bundle = row.effort, row.bundle
    return line | {
        "threshold": _number(row.threshold.value if row.threshold else None),
        "model_size_bytes": _number(row.model_size_bytes),
        "latency_ms": _number(row.latency_ms),
        "training_minutes": _number(effort.training_minutes if effort else None),
        "usd": _number(effort.usd if effort else None),
        "list_usd": _number(effort.list_usd if effort else None),
        "floors_not_cleared": floors_in_words(row) if row.bundle else "",
        "worst_subgroup": spreadsheet_text(row.worst_group.group.name) if row.worst_group else "",
        "manifest_hash": comparison.test_set.manifest_hash,
        "bundle_hash": bundle.hash if bundle else "",
        "predictions_sha256": row.predictions.header.rows_sha256 if row.predictions else "",
    }


def _column(name: str, end: str) -> str:
    return name if end == "value" else f"{name}_{end}"


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.8g}"


def _bare(text: str) -> str:
    """Without the unit, which stands in the column's head."""
    return text.replace(" %", "")
