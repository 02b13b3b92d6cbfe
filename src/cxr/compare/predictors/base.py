"""What every predictor has in common: the protocol, the scale outside the model, and what an output means."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Bundle, Preprocessing
from cxr.errors import InputError
from cxr.local_baseline.judging.calibration import calibrated

Images = NDArray[np.uint8]
Probabilities = NDArray[np.float64]

#: How far outside [0, 1] an output may lie by rounding (one level of a uint8 output is 0.004) before it is no
#: probability.
TOLERANCE = 0.01


class Predictor(Protocol):
    """A model that is loaded and ready."""

    def predict(self, images: Images) -> Probabilities:
        """Score images uint8 [N, H, W, C] as the bundle's preprocessing contract makes them: float64 [N, K] in 0..1,
        in the order of the bundle's classes. Raises InputError when the model's output does not fit the classes."""


def scaled(images: Images, contract: Preprocessing) -> NDArray[np.float32]:
    """The model's float32 input: pixels 0..255, scaled here only when the model does not do that itself."""
    values = images.astype(np.float32)
    if not contract.scale_inside_model:
        values = values * np.float32(contract.scale) + np.float32(contract.offset)
    return values


def class_probabilities(output: NDArray[np.generic], bundle: Bundle) -> Probabilities:
    """A model's output as one column a class: [N, K] as it is; one sigmoid output p [N, 1] or [N] becomes [1 - p, p].
    Every predictor's output passes here, and here alone it is calibrated, when the bundle has a calibration that is not
    inside the model.

    Raises InputError, naming the bundle, when the width is not the number of classes or a value is not a probability.
    """
    values = np.asarray(output, dtype=np.float64)
    if values.ndim == 1:
        values = values[:, None]
    classes = len(bundle.info.classes)
    if values.ndim != 2 or values.shape[1] not in {classes, 1} or (values.shape[1] == 1 and classes != 2):
        shape = "x".join(str(size) for size in values.shape[1:])
        raise InputError(
            f"the model of {bundle.folder} gives {shape} values an image, its {classes} classes need {classes}",
            hint="classes in bundle.json must name the model's outputs in order",
        )
    if not np.isfinite(values).all() or values.min(initial=0) < -TOLERANCE or values.max(initial=0) > 1 + TOLERANCE:
        raise InputError(
            f"the model of {bundle.folder} gives {values.min():.3g} to {values.max():.3g}, not probabilities",
            hint="the exported model must end in a sigmoid or a softmax",
        )
    values = np.clip(values, 0.0, 1.0)
    columns = np.hstack([1.0 - values, values]) if values.shape[1] == 1 else values
    calibration = bundle.info.calibration
    return calibrated(columns, None if calibration is None or calibration.inside_model else calibration)
