"""Scores a Keras file (`.keras`). TensorFlow is loaded when a model is opened, not when this module is imported."""

from __future__ import annotations

from typing import Any

from cxr.bundle import Bundle
from cxr.compare.predictors.base import Images, Probabilities, class_probabilities, scaled
from cxr.errors import InputError
from cxr.local_baseline.models.keras_files import load_keras
from cxr.local_baseline.tensorflow_setup import load


class KerasPredictor:
    """A Keras model, called through one traced function: `model.predict` costs ten times as much for a single image."""

    def __init__(self, bundle: Bundle, model: Any) -> None:
        self._bundle = bundle
        self._tf = tf = load().tf
        contract = bundle.info.preprocessing
        spec = tf.TensorSpec([None, contract.height, contract.width, contract.channels], tf.float32)
        self._call = tf.function(lambda values: model(values, training=False), input_signature=[spec])

    def predict(self, images: Images) -> Probabilities:
        """See Predictor."""
        output = self._call(self._tf.constant(scaled(images, self._bundle.info.preprocessing)))
        return class_probabilities(output.numpy(), self._bundle)


def open_model(bundle: Bundle) -> KerasPredictor:
    """Load the bundle's Keras file, without what only training needs. Raises InputError when it takes something else
    than what the bundle's preprocessing makes."""
    model = load_keras(bundle.model_path)
    contract = bundle.info.preprocessing
    wanted = (contract.height, contract.width, contract.channels)
    found = tuple(model.input_shape[1:])
    if len(found) != len(wanted) or any(size not in (None, ours) for size, ours in zip(found, wanted, strict=True)):
        raise InputError(f"{bundle.model_path} takes {found}, but bundle.json's preprocessing makes {wanted}")
    return KerasPredictor(bundle, model)
