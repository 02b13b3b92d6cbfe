"""TFLite, in float32 or in the AutoML contract's uint8 form, with the labels inside the file."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from cxr.local_baseline.exports.saved_model import export_saved_model
from cxr.local_baseline.exports.serving import serving_model
from cxr.local_baseline.exports.tflite_metadata import with_metadata
from cxr.local_baseline.images.preprocess import Pixels
from cxr.local_baseline.tensorflow_setup import STARTUP_NOISE, load, without_lines

#: Notes of TensorFlow's loader and converter on stderr.
CONVERTER_NOISE = re.compile(STARTUP_NOISE.pattern + rb"|^fully_quantize: ")


class TfliteForm(StrEnum):
    """What goes in and comes out."""

    FLOAT32 = "float32"
    UINT8 = "uint8"


def export_tflite(
    model: Any,
    path: Path,
    labels: Sequence[str],
    *,
    form: TfliteForm = TfliteForm.FLOAT32,
    representative: Pixels | None = None,
    description: str = "",
) -> None:
    """Write `model` as a TFLite file with a fixed batch of one: `convert` and `write_tflite`."""
    data = convert(model, form=form, representative=representative)
    write_tflite(data, path, labels, name=model.name, description=description)


def convert(model: Any, *, form: TfliteForm = TfliteForm.FLOAT32, representative: Pixels | None = None) -> bytes:
    """The bytes of `model` as a TFLite model with a fixed batch of one, without labels.

    FLOAT32: `image` float32 [1, H, W, C] of 0..255 -> scores float32 [1, classes]. UINT8: everything in 8 bits,
    `image` uint8 [1, H, W, C] -> scores uint8 [1, classes] (the tensors' details hold scale and zero point);
    `representative` uint8 [N, H, W, C] are training images by which the ranges are set.
    """
    tf = load().tf
    with tempfile.TemporaryDirectory(prefix="cxr-tflite-") as folder:
        # By way of a SavedModel: from_keras_model does the same, but prints its signature on stdout.
        export_saved_model(serving_model(model, batch_size=1), Path(folder))
        with _quiet_converter():
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            if form is TfliteForm.UINT8:
                if representative is None:
                    raise ValueError("the uint8 form needs representative images")
                _quantise(tf, converter, representative)
            data: bytes = converter.convert()
    return data


def write_tflite(data: bytes, path: Path, labels: Sequence[str], *, name: str, description: str = "") -> None:
    """Write a converted model, with its labels and a description inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(with_metadata(data, labels, name=name, description=description))


@contextmanager
def _quiet_converter() -> Iterator[None]:
    """Without the converter's notes: it infers the ranges itself, and reports the types that it was asked for."""
    with without_lines(CONVERTER_NOISE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Statistics for quantized inputs were expected")
        yield


def _quantise(tf: Any, converter: Any, representative: Pixels) -> None:
    def samples() -> Iterator[list[Any]]:
        for image in representative:
            yield [image[np.newaxis].astype(np.float32)]
        # Both ends of the range, so that the input's scale is exactly 1 and its zero point 0.
        yield [np.zeros((1, *representative.shape[1:]), np.float32)]
        yield [np.full((1, *representative.shape[1:]), 255.0, np.float32)]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
