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
    from cxr.compare.predictions_bundle import Answers
    from cxr.manifests.manifest import Manifest

SPLIT = "test"


def import_command(
    scores: Annotated[Path, typer.Argument(metavar="SCORES.csv", help="One row an image: a path and its score.")],
    name: Annotated[str, typer.Option("--name", help="The model's name in tables.")],
    manifest_path: ManifestPath = DEFAULT_MANIFEST,
    out_folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where the bundle goes [default: runs/imported-FILE].")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            help="Positive from this score on [default: chosen on validation where the file has it, else 0.5].",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take the scores of a model that ran elsewhere, so that it is judged like all others.

    The file has a column that names the images (path, image, file, ...) and either one with the positive class's
    probability (score, probability, p_CLASS) or one for each class; all test images of the manifest must be there.
    What its model was trained on is not known here, and the report says so. Research use, not a medical device.

    Example: cxr compare import scores.csv --name resnet50 --manifest manifest.csv --out runs/resnet50
    """
    from cxr.bundle import Origin
    from cxr.compare.elsewhere import probabilities_for, read_score_table, threshold_of
    from cxr.compare.predictions_bundle import Answers, write_answers
    from cxr.compare.ruler import check_split
    from cxr.files import sha256_of_file
    from cxr.manifests.manifest_file import read_manifest

    out = Out(as_json, quiet)
    if not name.strip():
        raise UsageError("--name is empty", hint="--name resnet50")
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"--threshold {threshold:g}: it is a probability, 0 to 1", hint="--threshold 0.5")
    manifest = read_manifest(manifest_path)
    check_split(manifest, SPLIT)
    table = read_score_table(scores, manifest.classes, manifest.positive_class)
    answers = Answers(
        name=name.strip(),
        origin=Origin.IMPORTED,
        split=SPLIT,
        classes=manifest.classes,
        probabilities=probabilities_for(table, manifest, SPLIT),
        threshold=threshold_of(table, manifest, threshold),
        provenance={
            "predicted": "by another program; its scores were imported",
            "scores": scores.name,
            "scores_sha256": sha256_of_file(scores),
            "command": shlex.join(sys.argv),
        },
    )
    target = out_folder or Path("runs") / f"imported-{scores.stem}"
    _tell(out, write_answers(target, manifest, answers), answers, manifest, manifest_path)


def _tell(out: Out, bundle: Bundle, answers: Answers, manifest: Manifest, manifest_path: Path) -> None:
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
    out.say("what this model was trained on is not known here: whether it has seen the test images cannot be checked")
    out.hint(f"cxr compare {shlex.quote(str(bundle.folder))} … --manifest {shlex.quote(str(manifest_path))}")
