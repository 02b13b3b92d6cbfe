"""The contract's resize as TensorFlow operations, to the last bit.

`tf.image.resize(antialias=True)` has the same filter, but sums in float32: where a value lies half-way between two
levels, it rounds to the other one in some 0.2 % of the pixels. Here, as in Pillow (Resample.c), weights and sums are
in float64 and the values between the two passes in float32.
"""

from __future__ import annotations

from typing import Any


def exact_resize(tf: Any, image: Any, size: Any) -> Any:
    """The antialiased triangle filter, along the rows first: float32 [h, w, C] to float32 [size[0], size[1], C].
    `size` is int32 [2]."""
    narrow = tf.transpose(_pass(tf, tf.transpose(image, (1, 0, 2)), size[1]), (1, 0, 2))
    return _pass(tf, narrow, size[0])


def _pass(tf: Any, image: Any, length: Any) -> Any:
    """Resize the first axis: float32 [n, m, C] to float32 [length, m, C]."""
    first, weights = _taps(tf, tf.shape(image)[0], length)
    last = tf.shape(image)[0] - 1

    def add(tap: Any, total: Any) -> tuple[Any, Any]:
        rows = tf.gather(image, tf.minimum(first + tap, last))
        return tap + 1, total + tf.cast(rows, tf.float64) * weights[:, tap, None, None]

    # Tap by tap: all rows of all taps at once would be a multiple of the image.
    nothing = tf.zeros(tf.concat([length[None], tf.shape(image)[1:]], 0), tf.float64)
    taps = tf.shape(weights)[1]
    _, total = tf.while_loop(
        lambda tap, total: tap < taps,
        add,
        (tf.constant(0), nothing),
        shape_invariants=(tf.TensorShape(()), tf.TensorShape((None, None, None))),
    )
    return tf.cast(total, tf.float32)


def _taps(tf: Any, before: Any, after: Any) -> tuple[Any, Any]:
    """For each of `after` values the first of the `before` values that it is made of, int32 [after], and the weights of
    that and the following ones, float64 [after, taps]."""
    # Not `/`: Grappler makes a division by a constant a multiplication by its reciprocal, which is off by a last bit.
    scale = tf.math.divide_no_nan(tf.cast(before, tf.float64), tf.cast(after, tf.float64))
    support = tf.maximum(scale, 1.0)
    centres = (tf.cast(tf.range(after), tf.float64) + 0.5) * scale
    first = tf.maximum(tf.cast(tf.floor(centres - support + 0.5), tf.int32), 0)
    end = tf.minimum(tf.cast(tf.floor(centres + support + 0.5), tf.int32), before)
    taps = tf.cast(tf.math.ceil(support), tf.int32) * 2 + 1
    places = first[:, None] + tf.range(taps)[None]
    distances = (tf.cast(places, tf.float64) - centres[:, None] + 0.5) * (1.0 / support)
    weights = tf.where(places < end[:, None], tf.maximum(1.0 - tf.abs(distances), 0.0), 0.0)
    # In order: a sum of sums may differ in its last bit.
    total = tf.foldl(lambda total, column: total + column, tf.transpose(weights))
    return first, tf.math.divide_no_nan(weights, total[:, None])
