"""Scores a SavedModel as the service exports it: `image_bytes` (a file as it is) and `key` in; `scores`, `labels` and
`key` out. TensorFlow is loaded when a model is opened.

The model decodes and resizes by itself. It is fed PNG files of the pixels that the bundle's preprocessing contract
makes, which come out of its decoder as they were and have the right size already: it sees what the other formats see.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Bundle
from cxr.compare.predictors.base import Images, Probabilities, class_probabilities
from cxr.compare.predictors.saved_model_files import load_saved_model
from cxr.errors import InputError
from cxr.local_baseline.exports.encoded_saved_model import PIXELS_SIGNATURE, PREPROCESS_SIGNATURE
from cxr.local_baseline.images.preprocess import Pixels
from cxr.local_baseline.tensorflow_setup import load

IMAGE, KEY, SCORES, LABELS = "image_bytes", "key", "scores", "labels"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Only the labels of the answer are wanted: any picture will do.
_SIDE = 224


class EncodedImagePredictor:
    """The service's own signature."""

    def __init__(self, bundle: Bundle, loaded: Any, signature: Any) -> None:
        self._bundle = bundle
        self._loaded = loaded  # a signature alone does not keep the variables alive
        self._signature = signature

    def predict(self, images: Images) -> Probabilities:
        """See Predictor. Columns are put into the order of the bundle's classes by the labels of the answer."""
        return self.predict_files([png_file(image) for image in images])

    def predict_files(self, files: Sequence[bytes]) -> Probabilities:
        """Like `predict`, of image files as they are: the model decodes and resizes them."""
        wanted = self._bundle.info.classes
        rows = []
        for data in files:
            scores, labels = _run(self._signature, data)
            if set(labels) != set(wanted) or len(labels) != len(wanted):
                raise InputError(
                    f"the model of {self._bundle.folder} answers {', '.join(labels)}, its classes are "
                    f"{', '.join(wanted)}"
                )
            rows.append([scores[labels.index(name)] for name in wanted])
        return class_probabilities(np.array(rows, dtype=np.float64), self._bundle)

    @property
    def takes_pixels(self) -> bool:
        """Whether there is a signature `pixels`."""
        return PIXELS_SIGNATURE in self._loaded.signatures

    def predict_pixels(self, images: Images) -> Probabilities:
        """Like `predict`, through the signature `pixels` of this program's own exports, whose scores are in the order
        of the bundle's classes. Raises InputError when the model has none."""
        tensor = load().tf.constant(images.astype(np.float32))
        return class_probabilities(self._half(PIXELS_SIGNATURE)(image=tensor)["scores"].numpy(), self._bundle)

    def preprocess_file(self, data: bytes) -> Pixels:
        """What the model itself makes of an image file: uint8 [H, W, C], by the signature `preprocess` of this
        program's own exports. Raises InputError when it has none, cannot read the file or gives no levels of 0..255."""
        tf = load().tf
        try:
            (image,) = self._half(PREPROCESS_SIGNATURE)(image_bytes=tf.constant([data]))["image"].numpy()
        except tf.errors.OpError as error:
            raise InputError(f"the SavedModel cannot read an image: {error.message.splitlines()[0]}") from error
        levels = np.asarray(image).astype(np.uint8)
        if not (levels == image).all():
            raise InputError("the SavedModel's pixels are no whole numbers of 0 to 255")
        return levels

    def _half(self, name: str) -> Any:
        if name not in self._loaded.signatures:
            raise InputError(
                f"the SavedModel has no signature {name!r}: an earlier version made it; export it anew",
            )
        return self._loaded.signatures[name]


def service_signature(loaded: Any) -> Any | None:
    """The signature that takes image files, None when a SavedModel has none."""
    for signature in loaded.signatures.values():
        inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
        if IMAGE in inputs and SCORES in outputs and LABELS in outputs:
            return signature
    return None


def saved_model_labels(folder: Path) -> tuple[str, ...]:
    """The labels that a SavedModel of the service gives with its scores. Raises InputError when it cannot be read or
    takes something else than image files."""
    signature = service_signature(loaded := load_saved_model(folder))
    if signature is None:
        raise InputError(f"no signature of {folder} takes {IMAGE} and gives {SCORES} and {LABELS}")
    labels = _run(signature, png_file(np.zeros((_SIDE, _SIDE, 3), np.uint8)))[1]
    del loaded
    return tuple(labels)


def png_file(pixels: Pixels) -> bytes:
    """Pixels uint8 [H, W, 1 or 3] as a PNG file, from which every decoder gives them back: not filtered and not
    compressed, because choosing filters would take a tenth of the time of a small net (PNG specification, W3C, chapters
    5 and 11)."""
    height, width, channels = pixels.shape
    lines = np.zeros((height, 1 + width * channels), np.uint8)  # each line begins with its filter: none
    lines[:, 1:] = pixels.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 0)), (b"IEND", b""))
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def decode_png(data: bytes) -> Pixels:
    """A PNG file's pixels uint8 [H, W, 1 or 3], by TensorFlow's decoder."""
    pixels: Pixels = load().tf.io.decode_png(data).numpy()
    return pixels


def _run(signature: Any, data: bytes) -> tuple[NDArray[np.float64], list[str]]:
    tf = load().tf
    inputs = {IMAGE: tf.constant([data])}
    if KEY in signature.structured_input_signature[1]:
        inputs[KEY] = tf.constant(["image"])
    try:
        answer = signature(**inputs)
    except tf.errors.OpError as error:
        raise InputError(f"the SavedModel cannot score an image: {error.message.splitlines()[0]}") from error
    labels = [label.decode() for label in np.ravel(answer[LABELS].numpy())]
    return np.ravel(answer[SCORES].numpy()).astype(np.float64), labels
