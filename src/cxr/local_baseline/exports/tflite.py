"""TFLite in five forms, with the labels inside the file."""

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
import numpy.typing as npt

from cxr.local_baseline.exports.bias_correction import with_corrected_biases
from cxr.local_baseline.exports.finite import check_finite
from cxr.local_baseline.exports.nouns import Shipment
from cxr.local_baseline.exports.saved_model import export_saved_model
from cxr.local_baseline.exports.serving import serving_model
from cxr.local_baseline.exports.tflite_metadata import with_metadata
from cxr.local_baseline.exports.tflite_weights import in_half_precision, with_finer_kernels
from cxr.local_baseline.images.preprocess import Pixels
from cxr.local_baseline.tensorflow_setup import STARTUP_NOISE, load, without_lines
from cxr.local_baseline.training.failures import told_unwritable

#: Notes of TensorFlow's loader, converter and TFLite interpreter on stderr.
CONVERTER_NOISE = re.compile(STARTUP_NOISE.pattern + rb"|^fully_quantize: |^INFO: Created TensorFlow Lite XNNPACK")


class TfliteForm(StrEnum):
    """What goes in and comes out, and what it is computed with."""

    FLOAT32 = "float32"
    #: Weights kept in half precision, computed in float32.
    FLOAT16 = "float16"
    #: Weights in 8 bits; each layer's input is brought to 8 bits by its own range, image by image.
    DYNAMIC = "dynamic"
    INT8 = "int8"
    UINT8 = "uint8"


#: Training images (and both ends of the range) for which all activations are looked at before they get 8 bits.
LOOKED_AT = 16
#: The type of input and output tensors where everything is in 8 bits.
EIGHT_BITS = {TfliteForm.INT8: "int8", TfliteForm.UINT8: "uint8"}


def export(shipment: Shipment, path: Path) -> None:
    """Write the shipment's form of its model as a TFLite file with a fixed batch of one."""
    form = TfliteForm(shipment.form)
    export_tflite(
        shipment.model,
        path,
        shipment.labels,
        form=form,
        representative=shipment.representative if form in EIGHT_BITS else None,
        description=shipment.description,
    )


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


def convert(
    model: Any,
    *,
    form: TfliteForm = TfliteForm.FLOAT32,
    representative: Pixels | None = None,
    batch_size: int | None = 1,
) -> bytes:
    """The bytes of `model` as a TFLite model with a fixed batch (None: any), without labels.

    FLOAT32, FLOAT16 and DYNAMIC: `image` float32 [1, H, W, C] of 0..255 -> scores float32 [1, classes]. UINT8 and INT8:
    everything in 8 bits, `image` uint8 or int8 (pixel - 128) [1, H, W, C] -> scores of that type [1, classes] (the
    tensors' details hold scale and zero point); `representative` uint8 [N, H, W, C] are training images by which the
    ranges are set. Raises Fault where an activation is infinite for one of them.
    """
    if form in EIGHT_BITS and representative is None:
        raise ValueError(f"the {form} form needs representative images")
    with tempfile.TemporaryDirectory(prefix="cxr-tflite-") as folder:
        # By way of a SavedModel: from_keras_model does the same, but prints its signature on stdout.
        with told_unwritable(Path(folder), "the model that is converted"):
            export_saved_model(serving_model(model, batch_size), Path(folder))
        with _quiet_converter():
            exact = _converted(folder, TfliteForm.FLOAT32)
            if form is TfliteForm.FLOAT32:
                return exact
            if form is TfliteForm.FLOAT16:
                return in_half_precision(exact)
            if representative is not None:
                some = representative[:: max(1, len(representative) // LOOKED_AT)]
                check_finite(exact, [*_batches(some), *_ends(some)])
            data = _converted(folder, form, representative)
            if representative is None:
                return with_finer_kernels(data, exact)
            return with_corrected_biases(data, exact, representative)


def _converted(folder: str, form: TfliteForm, representative: Pixels | None = None) -> bytes:
    """What TensorFlow's converter makes of a SavedModel."""
    tf = load().tf
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    if form is not TfliteForm.FLOAT32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if representative is not None:
        _quantise(tf, converter, representative, EIGHT_BITS[form])
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


def _quantise(tf: Any, converter: Any, representative: Pixels, ends: str) -> None:
    def samples() -> Iterator[list[Any]]:
        for batch in (*_batches(representative), *_ends(representative)):
            yield [batch]

    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.as_dtype(ends)


def _batches(images: Pixels) -> Iterator[npt.NDArray[np.float32]]:
    for image in images:
        yield image[np.newaxis].astype(np.float32)


def _ends(images: Pixels) -> Iterator[npt.NDArray[np.float32]]:
    """Both ends of the range, so that the input's scale is exactly 1."""
    for value in (0.0, 255.0):
        yield np.full((1, *images.shape[1:]), value, np.float32)
