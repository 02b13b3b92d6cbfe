"""SavedModel that takes image files: decoding and the preprocessing contract are inside it.

The service exports its edge models in this form, for its own container: signature `image_bytes`, `key` -> `scores`,
`labels`, `key` (https://cloud.google.com/vertex-ai/docs/export/export-edge-model).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cxr.bundle import Preprocessing
from cxr.local_baseline.exports.exact_resize import exact_resize
from cxr.local_baseline.exports.nouns import Shipment
from cxr.local_baseline.exports.serving import serving_model
from cxr.local_baseline.tensorflow_setup import load

#: The signature of ready pixels, and the one that makes them of files.
PIXELS_SIGNATURE, PREPROCESS_SIGNATURE = "pixels", "preprocess"
JPEG_START = b"\xff\xd8\xff"


def export(shipment: Shipment, path: Path) -> None:
    """Write the shipment's model as a SavedModel of image files, with signatures for its two halves."""
    export_encoded_saved_model(shipment.model, path, shipment.labels, shipment.contract, with_halves=True)


def export_encoded_saved_model(
    model: Any, folder: Path, labels: Sequence[str], contract: Preprocessing, *, with_halves: bool = False
) -> None:
    """Write `model` (pixels 0..255) as a SavedModel with the signature `serving_default`.

    `image_bytes` string [N] (JPEG, PNG, WebP, GIF or BMP files), `key` string [N] -> `scores` float32 [N, classes],
    `labels` string [N, classes] in the order of the scores, `key` as it was given. The preprocessing is `contract`'s.
    `with_halves` also: `preprocess`, `image_bytes` -> `image` float32 [N, H, W, C], whole numbers 0..255; `pixels`,
    `image` -> `scores`.
    """
    tf = load().tf
    served = serving_model(model, batch_size=None)
    shape = (contract.height, contract.width, contract.channels)
    files = tf.TensorSpec((None,), tf.string, name="image_bytes")

    def preprocess(image_bytes: Any) -> dict[str, Any]:
        one = tf.TensorSpec(shape, tf.float32)
        return {"image": tf.map_fn(lambda data: _pixels(tf, data, contract), image_bytes, fn_output_signature=one)}

    def serve(image_bytes: Any, key: Any) -> dict[str, Any]:
        # The very function of the signature `preprocess`: pixels that are found right there are right here.
        scores = served(module.preprocess(image_bytes)["image"], training=False)
        names = tf.tile(tf.constant([list(labels)]), [tf.shape(image_bytes)[0], 1])
        return {"scores": scores, "labels": names, "key": key}

    module = tf.Module()
    module.weights = [variable.value for variable in served.variables]
    module.preprocess = tf.function(preprocess, input_signature=[files])
    module.serve = tf.function(serve, input_signature=[files, tf.TensorSpec((None,), tf.string, "key")])
    signatures = {"serving_default": module.serve}
    if with_halves:
        pixels = tf.TensorSpec((None, *shape), tf.float32, name="image")
        module.pixels = tf.function(lambda image: {"scores": served(image, training=False)}, input_signature=[pixels])
        signatures |= {PREPROCESS_SIGNATURE: module.preprocess, PIXELS_SIGNATURE: module.pixels}
    tf.saved_model.save(module, str(folder), signatures=signatures)


def _pixels(tf: Any, data: Any, contract: Preprocessing) -> Any:
    """One file as float32 [H, W, C] of whole numbers 0..255: what `preprocess.load_image` makes of it (of 16 bits
    TensorFlow keeps the upper 8)."""
    # Three channels always: each decoder has a rule of its own for grey.
    colours = tf.cond(
        tf.strings.substr(data, 0, len(JPEG_START)) == JPEG_START,
        # The decoder's default is the fast transform, which is off by a level here and there.
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )
    image = tf.ensure_shape(colours, (None, None, 3))
    image = tf.cast(_luma(tf, image) if contract.channels == 1 else image, tf.float32)
    if contract.aspect == "center-crop":
        shape = tf.shape(image)
        side = tf.minimum(shape[0], shape[1])
        top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
        image = image[top : top + side, left : left + side]
    resized = exact_resize(tf, image, tf.convert_to_tensor(_size_inside(tf, tf.shape(image), contract)))
    rounded = tf.clip_by_value(tf.round(resized), 0.0, 255.0)
    if contract.aspect == "pad":
        return _padded(tf, rounded, contract)
    return tf.ensure_shape(rounded, (contract.height, contract.width, contract.channels))


def _luma(tf: Any, colours: Any) -> Any:
    """ITU-R 601 in Pillow's whole numbers: uint8 [h, w, 3] to int32 [h, w, 1]."""
    weights = tf.constant([19595, 38470, 7471], tf.int32)
    weighted = tf.reduce_sum(tf.cast(colours, tf.int32) * weights, axis=-1, keepdims=True)
    return (weighted + 0x8000) // 0x10000


def _size_inside(tf: Any, shape: Any, contract: Preprocessing) -> Any:
    """`contract.inside` as a graph: int32 [2]."""
    if contract.aspect != "pad":
        return (contract.height, contract.width)
    height, width = tf.cast(shape[0], tf.int64), tf.cast(shape[1], tf.int64)  # products of sizes pass 2^31
    most_height, most_width = (tf.constant(most, tf.int64) for most in (contract.height, contract.width))
    tall = height * most_width >= width * most_height
    inner_height = tf.where(tall, most_height, (2 * height * most_width + width) // (2 * width))
    inner_width = tf.where(tall, (2 * width * most_height + height) // (2 * height), most_width)
    return tf.cast(tf.maximum(tf.stack([inner_height, inner_width]), 1), tf.int32)


def _padded(tf: Any, image: Any, contract: Preprocessing) -> Any:
    shape = tf.shape(image)
    top, left = (contract.height - shape[0]) // 2, (contract.width - shape[1]) // 2
    padded = tf.image.pad_to_bounding_box(image, top, left, contract.height, contract.width)
    return tf.ensure_shape(padded, (contract.height, contract.width, contract.channels))
