"""A perceptual hash: 256 bits that stay nearly the same when an image is re-encoded, resized, brightened or trimmed.

It is imagehash's `phash`: the signs, against their median, of the 16x16 lowest frequencies of the image's cosine
transform. The 8x8 lowest of them (64 bits) are the coarse hash by which candidates are found.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from cxr.errors import missing_package

#: Bits a side; imagehash makes it from an image of four times as many pixels a side.
SIDE: Final = 16
_PIXELS: Final = 4 * SIDE
_COARSE_SIDE: Final = 8
HEX_DIGITS: Final = SIDE * SIDE // 4
#: Modes that Pillow does not average -> one that it does.
_RESIZABLE: Final = {
    "1": "L",
    "P": "RGB",
    "PA": "RGB",
    "CMYK": "RGB",
    "I;16": "I",
    "I;16L": "I",
    "I;16B": "I",
    "I;16N": "I",
}


def can_hash() -> bool:
    """Whether imagehash is installed (it comes with the extra `data`)."""
    return find_spec("imagehash") is not None


def perceptual_hash(image: Image.Image) -> str:
    """The hash of a decoded image, in hex. Raises MissingPackage without imagehash."""
    return str(_imagehash().phash(thumbnail(image, _PIXELS), hash_size=SIDE))


def thumbnail(image: Image.Image, side: int) -> Image.Image:
    """A grey image of `side` x `side` pixels, aspect squashed, each the mean of its area (mode L, 0..255).

    16-bit grey is brought to 8 bits as decoding for a model does, by 257.
    """
    # Averaging by whole factors first and exactly last reads a large image once, at 0.6 ms for 2 megapixels.
    plain = _RESIZABLE.get(image.mode)
    small = (image.convert(plain) if plain else image).resize((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    if small.mode in {"I", "F"}:
        values = np.asarray(small, dtype=np.float32) / np.float32(257.0)
        return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    return small.convert("L")


def coarse_and_fine(hashes: npt.NDArray[np.str_] | list[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Hashes in hex as bits: the coarse ones uint64 [n], the whole ones uint64 [n, 4]."""
    fine = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8).reshape(-1, SIDE * SIDE // 8)
    bits = np.unpackbits(fine, axis=1).reshape(-1, SIDE, SIDE)[:, :_COARSE_SIDE, :_COARSE_SIDE]
    coarse = np.packbits(bits.reshape(len(fine), -1), axis=1)
    return coarse.view(np.uint64).ravel(), np.ascontiguousarray(fine).view(np.uint64)


@cache
def _imagehash() -> Any:
    # It brings scipy with it: a third of a second that only a scan with a decode needs.
    try:
        return import_module("imagehash")
    except ImportError as error:
        raise missing_package("imagehash", "data") from error
