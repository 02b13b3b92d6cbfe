"""Scores an ONNX file with onnxruntime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from cxr.bundle import Bundle
from cxr.compare.predictors.base import Images, Probabilities, class_probabilities, scaled
from cxr.errors import InputError

#: Only errors: its warnings speak to people who make models.
SEVERITY = 3


class OnnxPredictor:
    """One image tensor in, one tensor of probabilities out."""

    def __init__(self, bundle: Bundle, session: Any) -> None:
        self._bundle = bundle
        self._session = session
        inputs = session.get_inputs()
        if len(inputs) != 1:
            raise InputError(f"{bundle.model_path} takes {len(inputs)} inputs, one image is known here")
        self._input = inputs[0].name
        self._output = session.get_outputs()[0].name
        first = inputs[0].shape[0]
        self._batch: int | None = first if isinstance(first, int) else None

    def predict(self, images: Images) -> Probabilities:
        """See Predictor. A model exported for a fixed batch is fed batches of that size."""
        values = scaled(images, self._bundle.info.preprocessing)
        if self._batch is None:
            return class_probabilities(self._run(values), self._bundle)
        size = self._batch
        padded = np.concatenate([values, np.zeros((-len(values) % size, *values.shape[1:]), values.dtype)])
        parts = [self._run(padded[start : start + size]) for start in range(0, len(padded), size)]
        return class_probabilities(np.concatenate(parts)[: len(values)], self._bundle)

    def _run(self, values: Any) -> Any:
        return self._session.run([self._output], {self._input: values})[0]


def open_model(bundle: Bundle) -> OnnxPredictor:
    """Load the bundle's ONNX file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SEVERITY
    try:
        session = onnxruntime.InferenceSession(str(bundle.model_path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors are of classes of its own, made by its C++ side
        raise ValueError(str(error)) from error
    return OnnxPredictor(bundle, session)
