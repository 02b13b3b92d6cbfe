"""A card of each model judged, in the Hugging Face format: YAML front matter with `model-index`, then words.

The format: the model card specification of huggingface/hub-docs (modelcard.md), whose `model-index` is that of Papers
with Code. What is not known here (the licence, who made the model public) is not invented.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

from cxr.bundle import BundleInfo, ModelFormat
from cxr.compare.markdown import plain_text, table_cell
from cxr.compare.nouns import Comparison, Row
from cxr.compare.report import words
from cxr.compare.report.findings import alerts_about, minutes, money, verdict_sentence
from cxr.compare.ruler import short
from cxr.compare.titles import TITLES
from cxr.files import write_text_atomically

FOLDER, CARD_FILE = "model-cards", "MODEL_CARD.md"
#: Our measures by the names that the Hugging Face hub gives them; the others have none there.
HUB_METRICS = {"accuracy": "accuracy", "auc": "roc_auc", "f1": "f1", "ppv": "precision", "sensitivity": "recall"}
SHOWN = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "ppv", "npv", "f1", "auc", "average_precision",
         "brier", "log_loss", "calibration_error")  # fmt: skip
#: `library_name` where the hub knows one for the format.
LIBRARIES = {
    ModelFormat.KERAS: "keras",
    ModelFormat.SAVED_MODEL: "tf-keras",
    ModelFormat.TFLITE: "tflite",
    ModelFormat.ONNX: "onnx",
}
LIMITS = (
    "Judged on one data set: another hospital, age group or device may give other figures, and an operating point in "
    "particular does not transfer.",
    "It tells the named classes apart and nothing else; an image of something else gets an answer too.",
    "Labels are those of the data set; no radiologist has read the images again for this card.",
)


def write_model_cards(comparison: Comparison) -> list[Path]:
    """One folder a model with its MODEL_CARD.md, below model-cards/."""
    written = []
    for row, name in zip(comparison.models, folder_names(comparison), strict=True):
        path = comparison.output / FOLDER / name / CARD_FILE
        write_text_atomically(path, model_card(row, comparison))
        written.append(path)
    return written


def folder_names(comparison: Comparison) -> list[str]:
    """The models' names as folder names, a number behind those that are not unique."""
    made: list[str] = []
    for row in comparison.models:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", row.name).strip("-.") or "model"
        made.append(plain if plain not in made else f"{plain}-{len(made) + 1}")
    return made


def model_card(row: Row, comparison: Comparison) -> str:
    """The card's text. `row` is a model's."""
    assert row.bundle is not None
    parts = [_front_matter(row, comparison), _opening(row, row.bundle.info, comparison)]
    parts += [_section(title, lines) for title, lines in _sections(row, row.bundle.info, comparison)]
    return "\n".join(parts)


def _front_matter(row: Row, comparison: Comparison) -> str:
    info = row.bundle.info if row.bundle else None
    test = comparison.test_set
    lines = ["---"]
    if info and info.format in LIBRARIES:
        lines.append(f"library_name: {LIBRARIES[info.format]}")
    lines += ["pipeline_tag: image-classification", "tags:"]
    lines += [f"- {tag}" for tag in ("image-classification", "chest-x-ray", "research-use-only")]
    lines += ["- emulator-stand-in"] * row.stand_in
    lines += [
        "metrics:",
        *(f"- {name}" for name in HUB_METRICS.values()),
        "model-index:",
        f"- name: {_quoted(row.name)}",
    ]
    lines += [
        "  results:",
        "  - task:",
        "      type: image-classification",
        f"      name: {_quoted(' or '.join(comparison.classes))}",
        "    dataset:",
        f"      name: {_quoted(f'{test.split} split of the manifest {short(test.manifest_hash)}')}",
        "      type: image-folder",
        f"      split: {_quoted(test.split)}",
        f"      revision: {_quoted(test.manifest_hash)}",
        "    metrics:",
    ]
    for name, hub_name in HUB_METRICS.items():
        value = row.metrics[name].value
        if math.isfinite(value):
            lines += [f"    - type: {hub_name}", f"      value: {value:.6f}", f"      name: {_quoted(TITLES[name])}"]
    return "\n".join([*lines, "---", ""])


def _opening(row: Row, info: BundleInfo, comparison: Comparison) -> str:
    tells = f"{row.name} tells {words.listed(list(comparison.classes))} apart on frontal chest X-rays."
    lines = [f"# {plain_text(row.name)}", "", f"**{words.DISCLAIMER}.** {plain_text(tells)}", ""]
    if info.stand_in:
        lines += [f"> {plain_text(words.STAND_IN_CAVEAT.format(names=row.name))}", ""]
    lines += [f"> {plain_text(alert)}\n" for alert in alerts_about(row, comparison)]
    return "\n".join(lines)


def _sections(row: Row, info: BundleInfo, comparison: Comparison) -> Iterator[tuple[str, list[str]]]:
    yield (
        "Intended use",
        [
            "Research on image classification, and comparison with other models on the same patients. Not for "
            "diagnosis, triage or any decision about a patient.",
        ],
    )
    yield "Data and split", list(_data(comparison))
    yield "The model", list(_model(row, info))
    yield "Metrics", list(_metrics(row, comparison))
    yield "Limits", [f"- {limit}" for limit in (*LIMITS, *_own_limits(row))]
    provenance = comparison.provenance
    yield (
        "Where the figures come from",
        [
            f"- Command: `{plain_text(provenance.command)}`",
            f"- Made: {provenance.created:%Y-%m-%d %H:%M UTC}, cxr {provenance.versions['cxr']}",
            f"- Bundle: `{row.bundle.hash if row.bundle else ''}`",
            f"- Predictions: `{row.predictions.header.rows_sha256 if row.predictions else ''}`",
            f"- Manifest: `{comparison.test_set.manifest_hash}`",
        ],
    )


def _data(comparison: Comparison) -> Iterator[str]:
    classes = comparison.classes
    yield f"| split | {' | '.join(table_cell(name) for name in classes)} | images | patients |"
    yield "|" + " --- |" * (len(classes) + 3)
    for count in comparison.test_set.counts:
        labels = " | ".join(f"{count.labels[name]:,}" for name in classes)
        yield f"| {count.split} | {labels} | {count.images:,} | {count.patients:,} |"
    yield ""
    yield (
        f"Patients are told apart by {comparison.test_set.patient_key}; {words.split_policy(comparison)}. "
        f"The figures below are of the {comparison.test_set.split} split."
    )


def _model(row: Row, info: BundleInfo) -> Iterator[str]:
    contract, threshold = info.preprocessing, info.threshold
    recipe, parameters = info.provenance.get("recipe"), info.provenance.get("parameters")
    yield f"- Trained by: {plain_text(row.trained_by)}" + (f", recipe {plain_text(str(recipe))}" if recipe else "")
    if isinstance(parameters, int):
        yield f"- Parameters: {parameters:,}"
    if info.format is not ModelFormat.PREDICTIONS:
        colour = "grey" if contract.channels == 1 else "RGB"
        yield f"- Input: {contract.height} x {contract.width}, {colour}, aspect: {contract.aspect}"
        yield f"- Format: {info.format.value}"
        yield f"- Size: {words.megabytes(row.model_size_bytes)} MB; {words.milliseconds(row.latency_ms)} ms an image"
    yield f"- Training: {minutes(row.effort)} minutes; cost in USD: {money(row.effort)}"
    if len(info.classes) == 2:
        yield (
            f"- Decision: {plain_text(info.positive_class)} from a probability of {threshold.value:.4f} on "
            f"({plain_text(threshold.chosen_by)}, chosen on {plain_text(threshold.chosen_on)})"
        )


def _metrics(row: Row, comparison: Comparison) -> Iterator[str]:
    test = comparison.test_set
    yield (
        f"On {test.images:,} images of {test.patients:,} patients, at the model's own threshold; 95 % intervals that "
        "resample patients."
    )
    yield ""
    yield "| measure | value | 95 % interval |"
    yield "| --- | --- | --- |"
    for name in SHOWN:
        estimate = row.metrics.get(name)
        if estimate is not None:
            interval = f"{words.decimal(estimate.low)} to {words.decimal(estimate.high)}"
            yield f"| {TITLES[name]} | {words.decimal(estimate.value)} | {interval} |"
    model = (
        next((each for each in comparison.against.models if each.name == row.name), None)
        if comparison.against
        else None
    )
    if model is not None and comparison.against is not None:
        yield ""
        yield plain_text(verdict_sentence(model, comparison.against))


def _own_limits(row: Row) -> Iterator[str]:
    worst = row.worst_group
    if worst is not None:
        group = f"“{plain_text(worst.group.name)}” ({worst.group.family})"
        yield f"It does worst in the group {group}: AUC {words.area(worst.auc)}."
    if row.floors_not_cleared:
        yield f"Its AUC's interval does not clear these floors: {', '.join(row.floors_not_cleared)}."


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([f"## {title}", "", *lines, ""])


def _quoted(text: str) -> str:
    """A JSON string is a YAML string too."""
    return json.dumps(text, ensure_ascii=False)
