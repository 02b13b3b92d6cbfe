"""What a model file of another program takes, asked of the runtime that will score it."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cxr.bundle import ModelFormat
from cxr.compare.predictors.encoded_images import saved_model_labels, service_signature
from cxr.compare.predictors.saved_model import SIGNATURES
from cxr.compare.predictors.saved_model_files import load_saved_model
from cxr.documents import parse_json
from cxr.errors import InputError, first_line, missing_package
from cxr.importing.graph_model import read_graph_model
from cxr.importing.nouns import Input
from cxr.local_baseline.models.keras_files import load_keras
from cxr.local_baseline.tensorflow_setup import load

__all__ = ["convert_keras", "input_of", "saved_model_labels"]


def input_of(model: Path, form: ModelFormat) -> Input:
    """The input tensor of a model. Raises MissingPackage without its runtime, InputError for what cannot be loaded or
    takes something else than images."""
    readers: Mapping[ModelFormat, Callable[[Path], Input]] = {
        ModelFormat.TFLITE: _tflite,
        ModelFormat.SAVED_MODEL: _saved_model,
        ModelFormat.KERAS: _keras,
        ModelFormat.TFJS: lambda path: _of_shape(model, read_graph_model(path).input_shape() or [-1] * 4),
    }
    try:
        return readers[form](model)
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise InputError(f"cannot load the model {model}: {first_line(error)}") from error


def convert_keras(model: Path, target: Path) -> None:
    """An .h5 file of Keras 2 as a .keras file of this Keras.

    Keras 3 refuses the argument `groups` that Keras 2 wrote into every DepthwiseConv2D: where it is 1, which is what
    the layer does anyway, it is taken out. Raises InputError for a file that cannot be read.
    """
    h5py = _h5py()
    copy = target.with_suffix(".h5.part")
    try:
        shutil.copyfile(model, copy)
        with h5py.File(copy, "r+") as file:
            configuration = parse_json(file.attrs["model_config"])
            file.attrs["model_config"] = json.dumps(_without_groups(configuration))
        named = copy.with_name(f"{target.stem}.legacy.h5")
        copy.rename(named)
        load_keras(named).save(target)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"cannot load the model {model}: {first_line(error)}") from error
    finally:
        copy.unlink(missing_ok=True)
        copy.with_name(f"{target.stem}.legacy.h5").unlink(missing_ok=True)


def _h5py() -> Any:
    load()  # it comes with Keras, which needs it for the same files
    return importlib.import_module("h5py")


def _without_groups(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_groups(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "DepthwiseConv2D" and value.get("config", {}).get("groups") == 1:
        value = {**value, "config": {key: each for key, each in value["config"].items() if key != "groups"}}
    return {key: _without_groups(each) for key, each in value.items()}


def _tflite(model: Path) -> Input:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise missing_package("ai-edge-litert", "litert") from error
    from cxr.compare.predictors.tflite import _without_start_up_notes

    with _without_start_up_notes():
        details = Interpreter(model_path=str(model)).get_input_details()[0]
    eight_bit = details["dtype"]().dtype.itemsize == 1
    return _of_shape(model, [int(size) for size in details["shape"]], eight_bit=eight_bit)


def _saved_model(model: Path) -> Input:
    loaded = load_saved_model(model)
    if service_signature(loaded) is not None:
        return Input(None, None, None, takes_files=True)
    for name in SIGNATURES:
        signature = loaded.signatures.get(name)
        inputs = list(signature.structured_input_signature[1].values()) if signature is not None else []
        if len(inputs) == 1 and inputs[0].shape.rank == 4:
            return _of_shape(model, [-1 if size is None else int(size) for size in inputs[0].shape])
    raise InputError(
        f"no signature of {model} takes images, as files or as one tensor (found: "
        f"{', '.join(sorted(loaded.signatures)) or 'none'})"
    )


def _keras(model: Path) -> Input:
    if model.suffix != ".keras":
        with _h5py().File(model, "r") as file:
            if "model_config" not in file.attrs:
                raise InputError(f"{model} holds weights and no model", hint="save the whole model: model.save(…)")
            return _of_shape(model, _first_shape(parse_json(file.attrs["model_config"])))
    shape = load_keras(model).input_shape
    return _of_shape(model, [-1 if size is None else int(size) for size in shape])


def _first_shape(configuration: Any) -> list[int]:
    """The first input shape that a Keras configuration declares, from the outside to the inside."""
    waiting = [configuration]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, dict):
            shape = one.get("batch_input_shape") or one.get("batch_shape")
            if isinstance(shape, list) and len(shape) == 4:
                return [-1 if size is None else int(size) for size in shape]
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return [-1] * 4


def _of_shape(model: Path, shape: list[int], *, eight_bit: bool = False) -> Input:
    if len(shape) != 4 or shape[3] not in (-1, 1, 3):
        raise InputError(f"{model} takes {shape}: images [N, height, width, 1 or 3] are needed")
    height, width, channels = (size if size > 0 else None for size in shape[1:])
    return Input(height, width, channels, eight_bit)
