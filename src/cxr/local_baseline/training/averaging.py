"""A moving average of a net's weights: steadier than the weights of any single step, at no cost in use.

Polyak and Juditsky, SIAM J. Control Optim. 30 (1992) 838-855, with exponential decay and a warm-up, so that the first
steps' weights are soon forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.signals import deferred_signals

Values = list[npt.NDArray[Any]]


def decay_at(step: int, decay: float) -> float:
    """How much of the average is kept at the stage's `step` (from 1): `decay`, less in the beginning."""
    return min(decay, (1 + step) / (10 + step))


class WeightAverage:
    """The average of all weights of `net`, the moving statistics of batch norm included (a net with averaged weights
    and the last step's statistics would fit neither)."""

    def __init__(self, net: Any, decay: float) -> None:
        tf = load().tf
        self._net, self._decay = net, decay
        weights = list(net.weights)
        # Out of any strategy's scope: each process has its own, and all have the same.
        self._average = [tf.Variable(weight.numpy(), trainable=False) for weight in weights]

        def follow(rate: Any) -> None:
            for average, weight in zip(self._average, weights, strict=True):
                average.assign_add(rate * (tf.convert_to_tensor(weight.value) - average))

        self._follow = tf.function(follow, input_signature=[tf.TensorSpec((), tf.float32)], jit_compile=False)

    def follow(self, step: int) -> None:
        """Take in the weights after the stage's `step` (from 1)."""
        self._follow(load().tf.constant(1.0 - decay_at(step, self._decay), load().tf.float32))

    @property
    def values(self) -> Values:
        """The averaged weights, in the order of the net's."""
        return [np.array(average.numpy()) for average in self._average]

    def restore(self, values: Sequence[npt.NDArray[Any]]) -> None:
        """Go on from `values`."""
        for average, value in zip(self._average, values, strict=True):
            average.assign(value)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The net has the averaged weights in the block, and its own again after it, whatever happens there."""
        own = self._net.get_weights()
        try:
            self._net.set_weights(self.values)
            yield
        finally:
            with deferred_signals():  # a net of both kinds of weights would be kept otherwise
                self._net.set_weights(own)
