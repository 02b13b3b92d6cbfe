"""Which program's model a folder holds, by the files in it: nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cxr.bundle import BUNDLE_FILE, ModelFormat, Preprocessing
from cxr.documents import parse_json
from cxr.errors import InputError, UsageError
from cxr.importing.contracts import AUTOML_PREPROCESSING, TEACHABLE_PREPROCESSING
from cxr.importing.graph_model import MODEL_FILE, is_layers_model, read_graph_model
from cxr.importing.labels import DICTIONARY, LABEL_FILE, Labels, labels_in_tflite, lines_of, without_numbers
from cxr.importing.members import check_no_link, check_tree
from cxr.importing.nouns import Found, Maker
from cxr.importing.tflite_files import is_compiled, is_tflite

SAVED_MODEL_FILE = "saved_model.pb"
#: Teachable Machine's SavedModel: a folder of this name, with the labels beside it.
_TEACHABLE_FOLDER = "model.savedmodel"
_KERAS = (".keras", ".h5")


def recognise(folder: Path) -> Found:
    """The one model in `folder` or in one of its folders.

    Raises InputError when there is none, several, one that cannot be scored here, or one with symbolic links;
    UsageError for a bundle.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", hint="unpack the export, and name its folder")
    if (folder / BUNDLE_FILE).is_file():
        raise UsageError(f"{folder} is a bundle already", hint=f"cxr compare {folder} --manifest manifest.csv")
    candidates = _candidates(folder)
    if not candidates:
        raise InputError(
            f"{folder} holds no model that is known here",
            hint="a TFLite file, a SavedModel, a Keras file (.keras, .h5) or a TF.js graph model is needed",
        )
    if len(candidates) > 1:
        names = ", ".join(path.relative_to(folder).as_posix() or "." for path in candidates)
        raise InputError(
            f"{folder} holds {len(candidates)} models: {names}", hint="import one: give each a folder with its labels"
        )
    check_no_link(candidates[0], folder)
    return _found(candidates[0], folder)


def _candidates(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.name in (SAVED_MODEL_FILE, MODEL_FILE):
            found.append(path.parent)
        elif path.suffix in (".tflite", *_KERAS) and path.is_file():
            found.append(path)
    return found


def _found(model: Path, top: Path) -> Found:
    if model.is_file():
        return _tflite(model) if model.suffix == ".tflite" else _keras(model)
    if (model / SAVED_MODEL_FILE).is_file():
        return _saved_model(model, top)
    check_no_link(model / MODEL_FILE, model)
    if is_layers_model(model):
        raise _layers_refusal(model)
    return _graph(model)


def _saved_model(model: Path, top: Path) -> Found:
    check_tree(model)
    # What lies beside the folder that the user named is none of the model's.
    if model.name == _TEACHABLE_FOLDER and model != top:
        labels, numbered, files = _label_file(model.parent)
        if numbered:
            signs = f"{_TEACHABLE_FOLDER} and the numbered lines of {LABEL_FILE}"
            form, contract = ModelFormat.SAVED_MODEL, TEACHABLE_PREPROCESSING
            return Found(Maker.TEACHABLE_MACHINE, form, model, labels, contract, signs, files)
    return Found(Maker.UNKNOWN, ModelFormat.SAVED_MODEL, model, _label_file(model)[0], None, SAVED_MODEL_FILE)


def _tflite(model: Path) -> Found:
    if not is_tflite(model):
        raise InputError(f"{model} is no TFLite file")
    if is_compiled(model):
        raise InputError(
            f"{model} was compiled for the Edge TPU and runs nowhere else",
            hint="export it for no chip: as TFLite",
        )
    beside, numbered, files = _label_file(model.parent)
    if numbered:
        signs = f"the numbered lines of {LABEL_FILE}"
        return Found(Maker.TEACHABLE_MACHINE, ModelFormat.TFLITE, model, beside, TEACHABLE_PREPROCESSING, signs, files)
    inside = labels_in_tflite(model)
    if inside and beside and inside != beside:
        raise InputError(
            f"{model.name} says {' '.join(inside)}, {files[0].name} says {' '.join(beside)}",
            hint="remove the list that is wrong, or give --classes",
        )
    automl = (model.parent / DICTIONARY).is_file() or (model.parent / "tflite_metadata.json").is_file()
    maker, contract = (Maker.AUTOML, AUTOML_PREPROCESSING) if automl else (Maker.UNKNOWN, None)
    signs = f"{DICTIONARY} or tflite_metadata.json beside it" if automl else "a TFLite file"
    return Found(maker, ModelFormat.TFLITE, model, inside or beside, contract, signs, files)


def _keras(model: Path) -> Found:
    labels, numbered, files = _label_file(model.parent)
    if numbered:
        signs = f"a Keras file and the numbered lines of {LABEL_FILE}"
        contract: Preprocessing | None = TEACHABLE_PREPROCESSING
        return Found(Maker.TEACHABLE_MACHINE, ModelFormat.KERAS, model, labels, contract, signs, files)
    return Found(Maker.UNKNOWN, ModelFormat.KERAS, model, labels, None, "a Keras file", files)


def _graph(model: Path) -> Found:
    try:
        graph = read_graph_model(model)
    except InputError as error:
        raise InputError(f"the TF.js model in {model} is broken: {error.message}", hint=error.hint) from error
    labels, _, files = _label_file(model)
    if not (model / DICTIONARY).is_file() or len(graph.input_shape() or []) != 4:
        return Found(Maker.UNKNOWN, ModelFormat.TFJS, model, labels, None, "a TF.js graph model", files)
    contract = replace(AUTOML_PREPROCESSING, scale_inside_model=False)
    return Found(Maker.AUTOML, ModelFormat.TFJS, model, labels, contract, f"a graph model with {DICTIONARY}", files)


def _layers_refusal(model: Path) -> InputError:
    hint = "export it as TFLite or as a Keras file, and import that"
    try:
        document = parse_json((model / "metadata.json").read_text(encoding="utf-8"))
        if "teachablemachine" in str(document.get("packageName", "")) or "tmVersion" in document:
            hint = "in Teachable Machine: Export Model, TensorFlow Lite, Floating point; import the folder in that zip"
    except (OSError, ValueError, AttributeError):
        pass
    return InputError(f"{model} holds a TF.js layers model, which cannot be scored here (graph models can)", hint=hint)


def _label_file(folder: Path) -> tuple[Labels | None, bool, tuple[Path, ...]]:
    """The labels beside a model, whether their lines were numbered, and the file."""
    for path in _label_files(folder):
        lines = lines_of(path.read_bytes())
        plain = without_numbers(lines)
        if lines:
            return plain or lines, plain is not None and path.name == LABEL_FILE, (path,)
    return None, False, ()


def _label_files(folder: Path) -> Iterator[Path]:
    for name in (DICTIONARY, LABEL_FILE):
        if (folder / name).is_file():
            check_no_link(folder / name, folder)
            yield folder / name
