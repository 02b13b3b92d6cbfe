"""The preprocessing contract in Python: a file becomes uint8 [height, width, channels], the same in every part.

Decoding is libjpeg's accurate integer DCT (Pillow's default). The resize is the antialiased triangle filter in
floating point: Pillow's BILINEAR on mode "F", which equals TensorFlow's `resize(..., antialias=True)`. Mode "L" would
round between its two passes and be off by one level in 8 % of the pixels.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from cxr.bundle import Preprocessing
from cxr.errors import InputError

#: 16-bit grey is brought to 0..255 by this divisor (65535 / 255).
SIXTEEN_BIT_DIVISOR = 257.0

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]


def load_image(source: Path | bytes, contract: Preprocessing, *, name: str | None = None) -> Pixels:
    """Decode and resize one image as `contract` says: uint8 [height, width, channels], 0..255.

    `name` is what an error calls the image (the path by default). Raises InputError when it is absent or cannot be
    decoded.
    """
    called = name or (str(source) if isinstance(source, Path) else "the image")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            planes = _planes(image, contract.channels)
    except FileNotFoundError:
        raise InputError(f"there is no image {called}") from None
    except UnidentifiedImageError:
        raise InputError(f"{called} is not an image", hint="find all such files: cxr data check") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{called} cannot be decoded: {error}", hint="find all such files: cxr data check") from error
    return preprocess(planes, contract)


def preprocess(planes: list[Plane], contract: Preprocessing) -> Pixels:
    """Crop, resize, round and pad decoded planes (float32 [h, w], 0..255; one, or one a channel) to uint8 [H, W,
    channels]."""
    resized = [round_to_uint8(resize(_crop(plane, contract), contract)) for plane in planes]
    if len(resized) < contract.channels:
        resized *= contract.channels
    return _pad(np.stack(resized, axis=-1), contract)


def resize(plane: Plane, contract: Preprocessing) -> Plane:
    """The antialiased triangle filter: float32 [h, w] to float32 of the contract's size (`inside` it, if it pads),
    unrounded."""
    height, width = contract.inside(*plane.shape)
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32), mode=None)
    out = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(out, dtype=np.float32)


def round_to_uint8(plane: Plane) -> Pixels:
    """Round half to even, clip to 0..255."""
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def _planes(image: Image.Image, channels: int) -> list[Plane]:
    """The decoded image as float planes. One plane stands for three equal ones, which saves two resizes."""
    if image.mode.startswith("I") or image.mode == "F":
        return [np.asarray(image, dtype=np.float32) / np.float32(SIXTEEN_BIT_DIVISOR)]
    if channels == 1:
        return [np.asarray(image.convert("L"), dtype=np.float32)]
    if image.mode in {"1", "L", "LA"}:
        return [np.asarray(image.convert("L"), dtype=np.float32)]
    colour = np.asarray(image.convert("RGB"))
    red, green, blue = (colour[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return [red.astype(np.float32)]
    return [plane.astype(np.float32) for plane in (red, green, blue)]


def _crop(plane: Plane, contract: Preprocessing) -> Plane:
    if contract.aspect != "center-crop":
        return plane
    height, width = plane.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return plane[top : top + side, left : left + side]


def _pad(pixels: Pixels, contract: Preprocessing) -> Pixels:
    height, width = pixels.shape[:2]
    if (height, width) == (contract.height, contract.width):
        return pixels
    padded = np.zeros((contract.height, contract.width, contract.channels), np.uint8)
    top, left = (contract.height - height) // 2, (contract.width - width) // 2
    padded[top : top + height, left : left + width] = pixels
    return padded
