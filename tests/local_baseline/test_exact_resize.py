"""The resize inside a SavedModel is Pillow's to the last bit, also where the graph's optimiser knows the size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cxr.local_baseline.exports.exact_resize import exact_resize
from cxr.local_baseline.tensorflow_setup import load


def _pillow(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Rows, then columns, as the contract says."""
    narrow = Image.fromarray(plane).resize((width, len(plane)), Image.Resampling.BILINEAR)
    return np.asarray(narrow.resize((width, height), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("size", [(192, 192), (150, 96), (224, 224), (300, 251)])
def test_in_a_graph_with_a_constant_size_it_is_pillows(size: tuple[int, int]) -> None:
    tf = load().tf
    height, width = size
    resize = tf.function(
        lambda image: exact_resize(tf, image, tf.constant([height, width])),
        input_signature=[tf.TensorSpec((None, None, 1), tf.float32)],
    )
    random = np.random.default_rng(4)
    for shape in ((224, 224), (199, 513)):
        plane = random.integers(0, 256, shape).astype(np.float32)
        assert np.array_equal(resize(plane[..., None]).numpy()[..., 0], _pillow(plane, height, width))
