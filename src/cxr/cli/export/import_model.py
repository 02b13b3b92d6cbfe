"""`cxr export import`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.options import Json, Quiet
from cxr.cli.out import Out

if TYPE_CHECKING:
    from cxr.bundle import Bundle, ModelFormat
    from cxr.importing.importing import Imported
    from cxr.importing.nouns import Input


def import_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The unpacked export of another program.")],
    out_folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where the bundle goes [default: runs/imported-DIR].")
    ] = None,
    classes: Annotated[
        str | None, typer.Option("--classes", help="Its classes by commas, in the order of its outputs.")
    ] = None,
    positive: Annotated[str | None, typer.Option("--positive", help="The class that is the finding.")] = None,
    preprocessing: Annotated[
        list[str] | None,
        typer.Option(
            "--preprocessing",
            metavar="NAME=VALUE",
            help="height, width, channels, aspect (squash, center-crop, pad), scale, offset (x * scale + offset) or "
            "scale_inside_model; repeat.",
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Positive from this probability on [default: 0.5].")
    ] = None,
    manifest_path: Annotated[
        Path | None, typer.Option("--manifest", "-m", help="The manifest that it was trained on, if it was on one.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a bundle of a model from elsewhere, so that it can be compared, exported and shown.

    Known: AutoML's and Vertex AI's edge exports (TFLite, TF.js, SavedModel), Teachable Machine (TFLite, Keras,
    SavedModel), and any TFLite, SavedModel, Keras file or TF.js graph model when --preprocessing says what its files
    do not. It is scored once on a synthetic picture. Research use, not a medical device.

    Example: cxr export import converted_tflite --out runs/teachable
    """
    from cxr.importing.contract_options import parse_contract_options
    from cxr.importing.importing import ImportRequest, import_model

    out = Out(as_json, quiet)
    request = ImportRequest(
        folder=folder,
        classes=tuple(name.strip() for name in classes.split(",")) if classes else (),
        positive=positive,
        preprocessing=parse_contract_options(preprocessing or []),
        threshold=threshold,
        manifest_hash=_manifest_hash(manifest_path),
    )
    target = out_folder or Path("runs") / f"imported-{folder.resolve().name}"
    _tell(out, import_model(request, target, _Reader()))


class _Reader:
    """The predictors of `cxr compare`, handed to the import, which loads nothing."""

    def input_of(self, model: Path, form: ModelFormat) -> Input:
        from cxr.compare.predictors.inputs import input_of

        return input_of(model, form)

    def labels(self, saved_model: Path) -> tuple[str, ...]:
        from cxr.compare.predictors.inputs import saved_model_labels

        return saved_model_labels(saved_model)

    def convert_keras(self, model: Path, target: Path) -> None:
        from cxr.compare.predictors.inputs import convert_keras

        convert_keras(model, target)

    def score(self, bundle: Bundle) -> Sequence[float]:
        from cxr.cli.cloud.verifying import OneImageScorer

        return OneImageScorer().score(bundle)


def _manifest_hash(path: Path | None) -> str:
    if path is None:
        return ""
    from cxr.manifests.manifest_file import read_manifest

    return read_manifest(path).hash


def _tell(out: Out, done: Imported) -> None:
    from cxr.importing.contract_options import words_of

    info = done.bundle.info
    contract = info.preprocessing
    names = ("height", "width", "channels", "aspect", "scale", "offset", "scale_inside_model")
    pixels = words_of({name: getattr(contract, name) for name in names})
    scored = "not run" if done.probabilities is None else ", ".join(f"{value:.3f}" for value in done.probabilities)
    rows = [
        ("made by", f"{done.found.maker} ({done.found.signs})"),
        ("format", info.format),
        ("classes", ", ".join(info.classes)),
        ("finding", f"{info.positive_class} from a probability of {info.threshold.value:g}"),
        ("pixels", pixels),
        ("one synthetic picture", scored),
        ("bundle", done.bundle.folder),
    ]
    out.table(("imported", info.name), rows)
    out.result(
        "export.import",
        {
            "bundle": str(done.bundle.folder),
            "made_by": str(done.found.maker),
            "recognised_by": done.found.signs,
            "format": str(info.format),
            "classes": list(info.classes),
            "positive_class": info.positive_class,
            "threshold": info.threshold.value,
            "preprocessing": {name: getattr(contract, name) for name in names},
            "guessed": list(done.guesses),
            "probabilities": done.probabilities,
            "not_run": done.not_run,
        },
    )
    for guess in done.guesses:
        out.say(f"guessed: {guess}")
    if done.not_run:
        out.warn(f"the model was not run: {done.not_run}")
    if not info.manifest_hash:
        out.say("cxr compare wants to know which manifest it was trained on: import it again with --manifest")
    out.hint(f"cxr compare {done.bundle.folder} --manifest manifest.csv")
