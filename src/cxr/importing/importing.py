"""A recognised model as a bundle: copied, described, scored once; whole or not at all."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cxr.bundle import Bundle, BundleInfo, ModelFormat, Origin, Threshold, read_bundle, write_bundle
from cxr.errors import CheckFailed, InputError, MissingPackage, UsageError
from cxr.folders import check_own_files, replaced_folder
from cxr.importing.contract_options import contract_of
from cxr.importing.contracts import AUTOML_PREPROCESSING
from cxr.importing.graph_model import MODEL_FILE, read_graph_model
from cxr.importing.labels import Labels
from cxr.importing.members import member
from cxr.importing.nouns import Found, Input, Maker, ModelReader
from cxr.importing.recognise import recognise
from cxr.labels import positive_class, task_of
from cxr.version import __version__

MODEL = "model"
#: How far from one the probabilities of an image may add up to: a model in 8 bits has steps of 1/256 a class.
SUM_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What the user says of a model. None and empty: what the files say, or a default that is told."""

    folder: Path
    classes: Labels = ()
    positive: str | None = None
    preprocessing: Mapping[str, Any] | None = None
    threshold: float | None = None
    manifest_hash: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """The bundle, what it was recognised as, what is guessed, and the probabilities of one image (None: not run)."""

    bundle: Bundle
    found: Found
    guesses: tuple[str, ...]
    probabilities: tuple[float, ...] | None
    not_run: str = ""


def import_model(request: ImportRequest, target: Path, reader: ModelReader) -> Imported:
    """Raises what recognising raises, UsageError for what must be said and is not, CheckFailed for a model that gives
    no probabilities of its classes."""
    found = recognise(request.folder)
    tensor = reader.input_of(found.model, found.format)
    if tensor.takes_files:
        labels = reader.labels(found.model)
        found = replace(found, maker=Maker.AUTOML, labels=labels, contract=AUTOML_PREPROCESSING, signs="image_bytes")
    contract, guesses = contract_of(found, tensor, request.preprocessing or {})
    classes = _classes(found, tensor, request.classes)
    positive = _positive(classes, request.positive)
    if request.positive is None:
        guesses += (f"the finding is {positive}",)
    if request.threshold is None:
        guesses += ("decisions at a probability of 0.5",)
    check_own_files(target)
    with replaced_folder(target) as part:
        path = _copy(found, part, reader)
        info = BundleInfo(
            name=request.folder.resolve().name,
            origin=Origin.IMPORTED,
            format=found.format,
            model_path=path.relative_to(part).as_posix(),
            classes=classes,
            positive_class=positive,
            task=task_of(classes),
            preprocessing=contract,
            threshold=_threshold(request.threshold),
            manifest_hash=request.manifest_hash,
            versions={"cxr": __version__},
        )
        probabilities, not_run = _scored(reader, Bundle(part, info))
        provenance = {
            "made_by": str(found.maker),
            "recognised_by": found.signs,
            "imported_from": found.model.name,
            "guessed": list(guesses),
            "scores_of_one_image": list(probabilities) if probabilities is not None else None,
        }
        write_bundle(part, replace(info, provenance=provenance))
    return Imported(read_bundle(target), found, guesses, probabilities, not_run)


def _classes(found: Found, tensor: Input, given: Labels) -> Labels:
    labels = given or found.labels
    if not labels:
        raise UsageError(
            f"nothing in {found.model} names its classes",
            hint="--classes A,B in the order of its outputs",
        )
    if len(set(labels)) != len(labels) or len(labels) < 2:
        raise UsageError(f"the classes {', '.join(labels)} are not two or more, each once", hint="--classes A,B")
    if given and found.labels and len(given) != len(found.labels):
        raise UsageError(
            f"the model has {len(found.labels)} classes ({', '.join(found.labels)}), --classes names {len(given)}"
        )
    if given and tensor.takes_files and set(given) != set(found.labels or ()):
        raise UsageError(
            f"the model itself answers {', '.join(found.labels or ())}: it cannot be given other classes",
            hint="leave --classes out",
        )
    return labels


def _positive(classes: Labels, given: str | None) -> str:
    if given is None:
        return positive_class(sorted(classes))
    if given not in classes:
        raise UsageError(f"--positive {given} is none of the classes", hint=f"one of: {', '.join(classes)}")
    return given


def _threshold(given: float | None) -> Threshold:
    if given is None:
        return Threshold(0.5, chosen_by="the import's default", chosen_on="nothing")
    if not 0 < given < 1:
        raise UsageError(f"--threshold {given:g} is not between 0 and 1")
    return Threshold(given, chosen_by="the user", chosen_on="not known here")


def _copy(found: Found, part: Path, reader: ModelReader) -> Path:
    folder = part / MODEL
    folder.mkdir()
    for path in found.companions:
        shutil.copyfile(path, folder / path.name)
    if found.format is ModelFormat.TFJS:
        for name in (MODEL_FILE, *read_graph_model(found.model).shards):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(member(found.model, name), folder / name)
        return folder
    if found.format is ModelFormat.SAVED_MODEL:
        return Path(shutil.copytree(found.model, folder / "saved_model"))
    if found.format is ModelFormat.KERAS and found.model.suffix != ".keras":
        target = folder / f"{found.model.stem}.keras"
        reader.convert_keras(found.model, target)
        return target
    return Path(shutil.copyfile(found.model, folder / found.model.name))


def _scored(reader: ModelReader, bundle: Bundle) -> tuple[tuple[float, ...] | None, str]:
    try:
        scores = tuple(float(value) for value in reader.score(bundle))
    except MissingPackage as error:
        return None, f"{error.message}: {error.hint}"
    except InputError as error:
        raise CheckFailed(f"the model cannot be scored: {error.message}", hint=error.hint) from error
    if not math.isclose(sum(scores), 1.0, abs_tol=SUM_TOLERANCE):
        listed = ", ".join(f"{score:.3f}" for score in scores)
        raise CheckFailed(f"the model gives {listed} for one image, which add up to {sum(scores):.3f} and not to one")
    return scores, ""
