"""The pixels that every implementation of the preprocessing contract must make of the golden images, to the last bit.
`draw_golden.py` wrote them; they are not made anew in tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from cxr.bundle import Preprocessing

EXPECTED_FILE = Path(__file__).with_suffix(".npz")
#: The contracts that the expected pixels are of: every aspect, both numbers of channels, smaller and larger than the
#: images, none of them square in the same way.
CONTRACTS: Mapping[str, Preprocessing] = MappingProxyType(
    {
        "squash-50x40x1": Preprocessing(50, 40, 1),
        "pad-32x24x1": Preprocessing(32, 24, 1, "pad"),
        "center-crop-16x16x3": Preprocessing(16, 16, 3, "center-crop"),
        "squash-12x20x3": Preprocessing(12, 20, 3),
    }
)
#: Files whose decoding is not defined to the last level: the browser turns CMYK into RGB in its own rounding.
INEXACT = frozenset({"cmyk.jpeg"})


def expected_pixels(image: str, contract: str) -> npt.NDArray[np.uint8]:
    """What the file `image` becomes under CONTRACTS[contract]: uint8 [height, width, channels]."""
    with np.load(EXPECTED_FILE) as arrays:
        return np.asarray(arrays[f"{image}/{contract}"], dtype=np.uint8)
