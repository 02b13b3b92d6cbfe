"""Scores a SavedModel folder through its serving signature. TensorFlow is loaded when a model is opened."""

from __future__ import annotations

from typing import Any

import numpy as np

from cxr.bundle import Bundle
from cxr.compare.predictors.base import Images, Predictor, Probabilities, class_probabilities, scaled
from cxr.compare.predictors.encoded_images import EncodedImagePredictor, service_signature
from cxr.compare.predictors.saved_model_files import load_saved_model
from cxr.errors import InputError
from cxr.local_baseline.tensorflow_setup import load

SIGNATURES = ("serving_default", "serve")


class SavedModelPredictor:
    """A signature with one image tensor in and one tensor of probabilities out."""

    def __init__(self, bundle: Bundle, loaded: Any) -> None:
        self._bundle = bundle
        self._tf = load().tf
        self._loaded = loaded  # a signature alone does not keep the variables alive
        self._signature = _signature(bundle, loaded)
        self._input, spec = next(iter(self._signature.structured_input_signature[1].items()))
        self._dtype = spec.dtype
        self._batch: int | None = spec.shape[0]

    def predict(self, images: Images) -> Probabilities:
        """See Predictor. A model exported for a fixed batch is fed batches of that size."""
        values = scaled(images, self._bundle.info.preprocessing)
        if self._batch is None:
            return class_probabilities(self._run(values), self._bundle)
        size = self._batch
        padding = np.zeros((-len(values) % size, *values.shape[1:]), values.dtype)
        padded = np.concatenate([values, padding])
        parts = [self._run(padded[start : start + size]) for start in range(0, len(padded), size)]
        return class_probabilities(np.concatenate(parts)[: len(values)], self._bundle)

    def _run(self, values: Any) -> Any:
        outputs = self._signature(**{self._input: self._tf.constant(values, dtype=self._dtype)})
        return next(iter(outputs.values())).numpy()


def open_model(bundle: Bundle) -> Predictor:
    """Load the bundle's SavedModel. Raises InputError when no signature takes one image tensor and gives one tensor,
    or takes image files as the service's exports do."""
    loaded = load_saved_model(bundle.model_path)
    signature = service_signature(loaded)
    if signature is not None:
        return EncodedImagePredictor(bundle, loaded, signature)
    return SavedModelPredictor(bundle, loaded)


def _signature(bundle: Bundle, loaded: Any) -> Any:
    for name in SIGNATURES:
        signature = loaded.signatures.get(name)
        if signature is None:
            continue
        inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
        if len(inputs) == 1 and len(outputs) == 1 and next(iter(inputs.values())).dtype.is_floating:
            return signature
    found = ", ".join(sorted(loaded.signatures)) or "none"
    raise InputError(
        f"no signature of {bundle.model_path} takes images and gives one tensor of probabilities (found: {found})"
    )
