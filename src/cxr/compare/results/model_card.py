"""A card of each model judged, in the Hugging Face format: YAML front matter with `model-index`, then words.

The format: the model card specification of huggingface/hub-docs (modelcard.md), whose `model-index` is that of Papers
with Code. What is not known here (the licence, who made the model public) is not invented.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cxr.about import RESEARCH_USE
from cxr.bundle import BundleInfo, ModelFormat
from cxr.compare.nouns import Comparison, Row
from cxr.compare.report import naming, words
from cxr.compare.report.cautions import cautions_of
from cxr.compare.report.class_table import HEADS, class_lines
from cxr.compare.report.findings import alerts_about, minutes, money, verdict_sentence
from cxr.compare.results.markdown import code, plain_text, table_line
from cxr.compare.ruler import short
from cxr.compare.statistics.against_reference import ReferenceComparison
from cxr.compare.titles import TITLES
from cxr.files import write_text_atomically

FOLDER, CARD_FILE = "model-cards", "MODEL_CARD.md"
#: Our measures by the names that the Hugging Face hub gives them; the others have none there.
HUB_METRICS = {"accuracy": "accuracy", "auc": "roc_auc", "f1": "f1", "ppv": "precision", "sensitivity": "recall"}
#: With more than two classes: the means of the classes, under the names of scikit-learn's averages.
HUB_METRICS_OF_MANY = {"accuracy": "accuracy", "macro_auc": "roc_auc", "macro_f1": "f1", "balanced_accuracy": "recall"}
HUB_NAMES_OF_MANY = {"macro_auc": "macro AUC (each class against the rest)", "macro_f1": "macro F1",
                     "balanced_accuracy": "macro recall (balanced accuracy)"}  # fmt: skip
SHOWN = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "ppv", "npv", "f1", "auc", "average_precision",
         "brier", "log_loss", "calibration_error", "macro_auc", "macro_average_precision", "macro_f1")  # fmt: skip
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
    names = folder_names([row.name for row in comparison.models])
    for row, name in zip(comparison.models, names, strict=True):
        path = comparison.output / FOLDER / name / CARD_FILE
        write_text_atomically(path, model_card(row, comparison))
        written.append(path)
    return written


def folder_names(models: Sequence[str]) -> list[str]:
    """The models' names as folder names, a number behind those that are not unique."""
    made: list[str] = []
    for name in models:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"
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
        *(f"- {name}" for name in _hub_metrics(comparison).values()),
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
    for name, hub_name in _hub_metrics(comparison).items():
        value = row.metrics[name].value
        if math.isfinite(value):
            is_mean = name in HUB_NAMES_OF_MANY
            called = HUB_NAMES_OF_MANY[name] if is_mean else TITLES[name]
            lines += [f"    - type: {hub_name}", f"      value: {value:.6f}", f"      name: {_quoted(called)}"]
            lines += ["      args:", "        average: macro"] * is_mean
    return "\n".join([*lines, "---", ""])


def _hub_metrics(comparison: Comparison) -> Mapping[str, str]:
    return HUB_METRICS_OF_MANY if naming.has_many_classes(comparison) else HUB_METRICS


def _opening(row: Row, info: BundleInfo, comparison: Comparison) -> str:
    tells = (
        f"{row.name} tells {words.listed(list(comparison.classes))} apart. It was judged on the images of one data "
        "set; whether all of these are frontal chest X-rays was not looked at."
    )
    lines = [f"# {plain_text(row.name)}", "", f"**{RESEARCH_USE}.** {plain_text(tells)}", ""]
    if info.stand_in:
        lines += [f"> {plain_text(words.STAND_IN_CAVEAT.format(names=row.name))}", ""]
    lines += [f"> {plain_text(said)}\n" for said in (*alerts_about(row, comparison), *cautions_of(comparison, [row]))]
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
    yield "Limits", [f"- {limit}" for limit in (*LIMITS, *_own_limits(row, comparison))]
    provenance = comparison.provenance
    yield (
        "Where the figures come from",
        [
            f"- Command: {code(provenance.command)}",
            f"- Made: {provenance.created:%Y-%m-%d %H:%M UTC}, cxr {provenance.versions['cxr']}",
            f"- Bundle: `{row.bundle.hash if row.bundle else ''}`",
            f"- Predictions: `{row.predictions.header.rows_sha256 if row.predictions else ''}`",
            f"- Manifest: `{comparison.test_set.manifest_hash}`",
        ],
    )


def _data(comparison: Comparison) -> Iterator[str]:
    classes = comparison.classes
    yield f"| split | {' | '.join(plain_text(name) for name in classes)} | images | patients |"
    yield "|" + " --- |" * (len(classes) + 3)
    for count in comparison.test_set.counts:
        labels = " | ".join(f"{count.labels[name]:,}" for name in classes)
        yield f"| {count.split} | {labels} | {count.images:,} | {count.patients:,} |"
    yield ""
    yield (
        f"Patients are told apart by {plain_text(comparison.test_set.patient_key)}; {words.split_policy(comparison)}. "
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
        yield f"- Size: {words.megabytes(row.model_size_bytes)} MB; {words.latency(row)} ms an image"
    yield f"- Training: {minutes(row.effort)} minutes; cost in USD: {money(row.effort)}"
    if len(info.classes) == 2:
        yield (
            f"- Decision: {plain_text(info.positive_class)} from a probability of {threshold.value:.4f} on "
            f"({plain_text(threshold.chosen_by)}, chosen on {plain_text(threshold.chosen_on)})"
        )
    else:
        yield "- Decision: the class of the highest probability"


def _metrics(row: Row, comparison: Comparison) -> Iterator[str]:
    test, many = comparison.test_set, naming.has_many_classes(comparison)
    called = "called by the highest probability" if many else "at the model's own threshold"
    yield (
        f"On {test.images:,} images of {test.patients:,} patients, {called}; "
        f"{'' if many else f'{plain_text(comparison.positive_class)} is positive; '}95 % intervals that resample "
        "patients, and of shares the exact ones (Clopper and Pearson), which take images as independent."
    )
    yield ""
    yield from _measures(row, comparison)
    if many:
        yield ""
        yield from _classes(row, comparison)
    if comparison.against is not None:
        yield ""
        yield from _against(row, comparison, comparison.against)
    for note in words.notes_of(comparison):
        yield ""
        yield plain_text(note)


def _measures(row: Row, comparison: Comparison) -> Iterator[str]:
    exact = row.points[0].proportions if row.points else {}
    yield table_line(["measure", "value", "95 % interval", "exact interval"])
    yield "| --- | --- | --- | --- |"
    for name in SHOWN:
        estimate = row.metrics.get(name)
        if estimate is None or (name.startswith("macro_") and not naming.has_many_classes(comparison)):
            continue
        interval = _interval(estimate.low, estimate.high)
        share = _interval(*exact[name].exact) if name in exact else ""
        yield table_line([naming.title(name, comparison), words.decimal(estimate.value), interval, share])


def _classes(row: Row, comparison: Comparison) -> Iterator[str]:
    """Each class against the rest, and their mean."""
    yield table_line(["class", "images", *HEADS])
    yield "|" + " --- |" * (len(HEADS) + 2)
    for name, images, line in class_lines(row, comparison):
        yield table_line([name, f"{images:,}", *line.cells])


def _against(row: Row, comparison: Comparison, against: ReferenceComparison) -> Iterator[str]:
    """The verdict, and how it was reached; of the reference that it is one."""
    model = next((each for each in against.models if each.name == row.name), None)
    if model is None:
        yield "The other models of the comparison are held against this one."
    else:
        yield plain_text(verdict_sentence(model, against, comparison))
    yield ""
    yield plain_text(words.sentence(words.reference_sentence(against, comparison)))
    if against.stand_in and model is not None:
        yield ""
        yield plain_text(words.STAND_IN_CAVEAT.format(names=against.name))


def _interval(low: float, high: float) -> str:
    return f"{words.decimal(low)} to {words.decimal(high)}"


def _own_limits(row: Row, comparison: Comparison) -> Iterator[str]:
    worst = row.worst_group
    if worst is not None:
        group = f"“{plain_text(worst.group.name)}” ({worst.group.family})"
        area = naming.title("auc", comparison)
        yield f"It does worst in the group {group}: {plain_text(area)} {words.area(worst.auc)}."
    if row.floors_not_cleared:
        yield f"Its AUC's interval does not clear these floors: {', '.join(row.floors_not_cleared)}."


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([f"## {title}", "", *lines, ""])


def _quoted(text: str) -> str:
    """A JSON string is a YAML string too."""
    return json.dumps(text, ensure_ascii=False)
