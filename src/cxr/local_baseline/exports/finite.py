"""Activations that are no finite numbers, found before TensorFlow's quantizer meets them.

An infinite range has no steps. TensorFlow 2.21 does not refuse it: it ends the whole process with a segmentation fault,
not always, but in most processes that have converted something before.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cxr.errors import Fault
from cxr.local_baseline.tensorflow_setup import load


def check_finite(exact: bytes, inputs: Sequence[npt.NDArray[np.float32]]) -> None:
    """Compute all activations of the float32 TFLite model `exact` for inputs float32 [1, H, W, C] of 0..255.

    Raises Fault naming the first that is infinite or not a number.
    """
    lite = load().tf.lite
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
        interpreter = lite.Interpreter(
            model_content=exact,
            experimental_preserve_all_tensors=True,
            # The default delegate computes several operators as one, and keeps nothing between them.
            experimental_op_resolver_type=lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    interpreter.allocate_tensors()
    [asked] = interpreter.get_input_details()
    for values in inputs:
        interpreter.set_tensor(asked["index"], values)
        interpreter.invoke()
        for tensor in interpreter.get_tensor_details():
            if tensor["dtype"] is np.float32 and not np.isfinite(interpreter.get_tensor(tensor["index"])).all():
                raise Fault(
                    f"the net's activations overflow (at {tensor['name']}): they have no range for 8 bits",
                    hint="the model's own probabilities are in doubt, too: cxr baseline evaluate BUNDLE",
                )
