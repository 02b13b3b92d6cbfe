"""A perceptual hash: 256 bits that stay nearly the same when an image is re-encoded, resized, brightened or trimmed.

It is imagehash's `phash`: the signs, against their median, of the 16x16 lowest frequencies of the image's cosine
transform. The 8x8 lowest of them (64 bits) are the coarse hash by which candidates are found.

A frame of one grey (a small field on a large plate, padding to a square) is cut off before: all images in one frame
would look alike. What counts as one must be the same for a copy that was trimmed, halved or saved at quality 50: so one
of its edges must be sharp and straight, and the dark that fades in around a chest, or a round field, is none. (Of nine
copies each of 401 X-rays, 110 originals, 280 framed, 70 round and 70 dark ones, 6 of 8,379 were cut otherwise by more
than 2 % of the field.)
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
#: Pixels a side from which on an image is reduced by whole factors; frames are looked for in what is left.
_REDUCED: Final = 256
#: How long a hash is.
HEX_DIGITS: Final = SIDE * SIDE // 4
#: Of a line from the border inwards, its mean departure from the border's grey: below this everywhere there is nothing
#: inside; (at least, as a share of the largest) by which something begins, by which the line is inside for certain; and
#: the share of the largest that a border may have of its own.
_FLAT: Final = 4.0
_BEGINS: Final = (1.0, 0.02)
_INSIDE: Final = (3.0, 0.45)
_NOISE: Final = 0.1
#: Shares of the image: a sharp edge is at most so wide; a frame is at least so wide (a narrower one does not count, and
#: a scan's last black line is none); what is inside is at least so much of a side.
_SHARP: Final = 0.01
_WIDE: Final = 0.03
_LEAST_INSIDE: Final = 0.125
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
    """A grey image of `side` x `side` pixels without its frame, aspect squashed, each the mean of its area (mode L,
    0..255).

    16-bit grey is brought to 8 bits as decoding for a model does, by 257.
    """
    # Averaging by whole factors first and exactly last reads a large image once, at 0.6 ms for 2 megapixels.
    plain = _RESIZABLE.get(image.mode)
    whole = image.convert(plain) if plain else image
    factors = max(1, image.width // _REDUCED), max(1, image.height // _REDUCED)
    grey = _eight_bits(whole.reduce(factors) if factors != (1, 1) else whole)
    box = _inside_the_frame(np.asarray(grey, dtype=np.float32))
    return grey.resize((side, side), Image.Resampling.BOX, box=box)


def coarse_and_fine(hashes: npt.NDArray[np.str_] | list[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Hashes in hex as bits: the coarse ones uint64 [n], the whole ones uint64 [n, 4]."""
    fine = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8).reshape(-1, HEX_DIGITS // 2)
    bits = np.unpackbits(fine, axis=1).reshape(-1, SIDE, SIDE)[:, :_COARSE_SIDE, :_COARSE_SIDE]
    coarse = np.packbits(bits.reshape(len(fine), -1), axis=1)
    return coarse.view(np.uint64).ravel(), np.ascontiguousarray(fine).view(np.uint64)


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode not in {"I", "F"}:
        return image.convert("L")
    values = np.asarray(image, dtype=np.float32) / np.float32(257.0)
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _inside_the_frame(plane: npt.NDArray[np.float32]) -> tuple[int, int, int, int]:
    """Left, upper, right and lower edge of what a frame of one grey leaves; of everything where there is no frame."""
    height, width = plane.shape
    top, top_is_sharp = _border(_departures(plane, plane[0], axis=1))
    bottom, bottom_is_sharp = _border(_departures(plane, plane[-1], axis=1)[::-1])
    left, left_is_sharp = _border(_departures(plane, plane[:, 0], axis=0))
    right, right_is_sharp = _border(_departures(plane, plane[:, -1], axis=0)[::-1])
    is_frame = top_is_sharp or bottom_is_sharp or left_is_sharp or right_is_sharp
    if not is_frame or min((width - left - right) / width, (height - top - bottom) / height) < _LEAST_INSIDE:
        return 0, 0, width, height
    return left, top, width - right, height - bottom


def _departures(plane: npt.NDArray[np.float32], edge: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
    """How far each line is, on average over its pixels, from the grey of an edge."""
    return np.asarray(np.abs(plane - np.median(edge)).mean(axis=axis), dtype=np.float32)


def _border(departures: npt.NDArray[np.float32]) -> tuple[int, bool]:
    """How many lines from the first on are of one grey, and whether they end as a frame does."""
    most, first = float(departures.max()), float(departures[0])
    if most < _FLAT or first > _NOISE * most:
        return 0, False
    begins = int(np.argmax(departures > first + max(_BEGINS[0], _BEGINS[1] * most)))
    inside = int(np.argmax(departures > first + max(_INSIDE[0], _INSIDE[1] * most)))
    lines = len(departures)
    return begins, begins >= _WIDE * lines and begins <= inside <= begins + max(1.0, _SHARP * lines)


@cache
def _imagehash() -> Any:
    # It brings scipy with it: a third of a second that only a scan with a decode needs.
    try:
        return import_module("imagehash")
    except ImportError as error:
        raise missing_package("imagehash", "data") from error
