"""`cxr compare import`: scores that another program made, as a bundle of predictions."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.options import DEFAULT_MANIFEST, Json, ManifestPath, Quiet
from cxr.cli.out import Out
from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.bundle import Bundle
    from cxr.compare.predictions.bundle import Answers
    from cxr.compare.predictions.elsewhere import ScoreTable
    from cxr.manifests.manifest import Manifest

SPLIT = "test"


Scores = Annotated[
    str,
    typer.Argument(metavar="SCORES", help="A CSV (a path and its score in each row), or a batch prediction's files."),
]
Name = Annotated[str, typer.Option("--name", help="The model's name in tables.")]
OutFolder = Annotated[
    Path | None, typer.Option("--out", "-o", help="Where the bundle goes [default: runs/imported-FILE].")
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        help="Positive from this score on [default: chosen on validation where the file has it, else 0.5].",
    ),
]
TaskName = Annotated[
    str | None,
    typer.Option("--task", help="What the scores are of: binary or three-class [default: the labels as they are]."),
]
Outputs = Annotated[
    str | None,
    typer.Option("--outputs", metavar="CLASS,CLASS…", help="What a custom model's bare numbers stand for, in order."),
]


def import_command(
    scores: Scores,
    name: Name,
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    out_folder: OutFolder = None,
    threshold: Threshold = None,
    task: TaskName = None,
    outputs: Outputs = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take the scores of a model that ran elsewhere, so that it is judged like all others.

    A CSV has a column that names the images (path, image, file, ...) and either one with the positive class's
    probability (score, probability, p_CLASS) or one for each class. A batch prediction of Vertex AI is taken as its
    folder (or gs:// URL) of predictions_*.jsonl or prediction.results-* files. All test images of the manifest must be
    there. What the model was trained on is not known here, and the report says so. Research use, not a medical device.

    Example: cxr compare import scores.csv --name resnet50 --manifest manifest.csv --out runs/resnet50

    Example: cxr compare import answers/prediction-resnet50-2026 --name resnet50 --outputs NORMAL,PNEUMONIA
    """
    from cxr.bundle import Origin
    from cxr.compare.predictions.bundle import Answers, write_answers
    from cxr.compare.predictions.elsewhere import probabilities_for, threshold_of
    from cxr.compare.ruler import check_split
    from cxr.manifests.manifest_file import read_manifest
    from cxr.manifests.tasks import task_view

    out = Out(as_json, quiet)
    _check_options(name, threshold, outputs)
    manifest = task_view(read_manifest(manifest_path), task)
    check_split(manifest, SPLIT)
    table = _table(scores, manifest, outputs)
    answers = Answers(
        name=name.strip(),
        origin=Origin.IMPORTED,
        split=SPLIT,
        classes=manifest.classes,
        probabilities=probabilities_for(table, manifest, SPLIT),
        threshold=threshold_of(table, manifest, threshold),
        provenance={
            "predicted": "by another program; its scores were imported",
            "scores": _last_part(scores),
            "scores_sha256": table.sha256,
            "command": shlex.join(sys.argv),
        },
    )
    target = out_folder or Path("runs") / f"imported-{Path(_last_part(scores)).stem}"
    _tell(out, write_answers(target, manifest, answers), answers, manifest, manifest_path)


def _table(scores: str, manifest: Manifest, outputs: str | None) -> ScoreTable:
    from cxr.compare.predictions.batch_answers import is_batch_answers, read_batch_answers
    from cxr.compare.predictions.elsewhere import read_score_table

    if is_batch_answers(scores):
        named = [each.strip() for each in (outputs or "").split(",") if each.strip()]
        return read_batch_answers(scores, manifest.classes, manifest.positive_class, outputs=named)
    if outputs is not None:
        raise UsageError("--outputs is for a batch prediction's files: a CSV names its columns", hint="leave it out")
    return read_score_table(Path(scores), manifest.classes, manifest.positive_class)


def _check_options(name: str, threshold: float | None, outputs: str | None) -> None:
    if not name.strip():
        raise UsageError("--name is empty", hint="--name resnet50")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"--threshold {threshold:g}: it is a probability, 0 to 1", hint="--threshold 0.5")
    if outputs is not None and not outputs.strip(" ,"):
        raise UsageError("--outputs is empty", hint="--outputs NORMAL,PNEUMONIA")


def _last_part(place: str) -> str:
    """A file's or folder's own name."""
    return Path(place).resolve().name if "://" not in place else place.rstrip("/").rpartition("/")[2]


def _tell(out: Out, bundle: Bundle, answers: Answers, manifest: Manifest, manifest_path: Path) -> None:
    from cxr.compare.predictions.elsewhere import few_to_choose_on

    info, point = bundle.info, bundle.info.threshold
    images = len(answers.probabilities)
    rows = [
        ("bundle", bundle.folder),
        ("images", images),
        ("classes", ", ".join(info.classes)),
        (
            "positive",
            f"{info.positive_class} from {point.value:.4f} on ({point.chosen_by}, chosen on {point.chosen_on})",
        ),
    ]
    out.table(("imported", info.name), rows)
    out.result(
        "compare.import",
        {
            "bundle": str(bundle.folder),
            "hash": bundle.hash,
            "name": info.name,
            "images": images,
            "classes": list(info.classes),
            "positive_class": info.positive_class,
            "threshold": point.value,
            "threshold_chosen": {"by": point.chosen_by, "on": point.chosen_on},
            "manifest_hash": manifest.hash,
        },
    )
    few = few_to_choose_on(point, manifest)
    if few:
        out.warn(f"{few}; say another with --threshold")
    out.say("what this model was trained on is not known here: whether it has seen the test images cannot be checked")
    out.hint(f"cxr compare {shlex.quote(str(bundle.folder))} … --manifest {shlex.quote(str(manifest_path))}")
