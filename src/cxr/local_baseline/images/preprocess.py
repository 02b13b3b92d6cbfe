"""The preprocessing contract in Python: a file becomes uint8 [height, width, channels], the same in every part.

Decoding is libjpeg's accurate integer DCT (Pillow's default). The resize is the antialiased triangle filter in
floating point, along the rows first: Pillow's BILINEAR on mode "F", which equals TensorFlow's
`resize(..., antialias=True)`. Mode "L" would round between its two passes and be off by one level in 8 % of the pixels.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from cxr.bundle import Preprocessing
from cxr.errors import InputError
from cxr.manifests.scan.image_file import DECODE_ERRORS, FORMATS, MAX_PIXELS

#: 16-bit grey is brought to 0..255 by this divisor (65535 / 255).
SIXTEEN_BIT_DIVISOR = 257.0

#: Of an image as many rows are made floats at once as have so many pixels.
STRIP_PIXELS = 1 << 17

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]


def load_image(source: Path | bytes, contract: Preprocessing, *, name: str | None = None) -> Pixels:
    """Decode and resize one image as `contract` says: uint8 [height, width, channels], 0..255.

    `name` is what an error calls the image (the path by default). Raises InputError when it is absent or cannot be
    decoded.
    """
    called = name or (str(source) if isinstance(source, Path) else "the image")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width:,} x {image.height:,} pixels: too many to be a radiograph")
            planes = _planes(image, contract.channels)
    except FileNotFoundError:
        raise InputError(f"there is no image {called}") from None
    except UnidentifiedImageError:
        raise InputError(f"{called} is not an image", hint="find all such files: cxr data check") from None
    except (*DECODE_ERRORS, Image.DecompressionBombError) as error:
        raise InputError(f"{called} cannot be decoded: {error}", hint="find all such files: cxr data check") from error
    return _pixels(planes, contract)


def preprocess(planes: list[Plane], contract: Preprocessing) -> Pixels:
    """Crop, resize, round and pad decoded planes (float32 [h, w], 0..255; one, or one a channel) to uint8 [H, W,
    channels]."""
    return _pixels([Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32)) for plane in planes], contract)


def resize(plane: Plane, contract: Preprocessing) -> Plane:
    """The antialiased triangle filter: float32 [h, w] to float32 of the contract's size (`inside` it, if it pads),
    unrounded."""
    return _resized(Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32)), contract)


def round_to_uint8(plane: Plane) -> Pixels:
    """Round half to even, clip to 0..255."""
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def _pixels(planes: list[Image.Image], contract: Preprocessing) -> Pixels:
    resized = [round_to_uint8(_resized(_cropped(plane, contract), contract)) for plane in planes]
    if len(resized) < contract.channels:
        resized *= contract.channels
    return _pad(np.stack(resized, axis=-1), contract)


def _planes(image: Image.Image, channels: int) -> list[Image.Image]:
    """The decoded image as planes of mode "L", or "F" of more than 8 bits. One plane stands for three equal ones, which
    saves two resizes. The pixels stay in Pillow's memory: copies of a full-size image take longer than its resize."""
    if image.mode.startswith("I") or image.mode == "F":
        return [Image.fromarray(np.asarray(image, dtype=np.float32) / np.float32(SIXTEEN_BIT_DIVISOR))]
    if channels == 1 or image.mode in {"1", "L", "LA"}:
        return [image.convert("L")]
    red, green, blue = image.convert("RGB").split()
    if red.tobytes() == green.tobytes() == blue.tobytes():
        return [red]
    return [red, green, blue]


def _cropped(plane: Image.Image, contract: Preprocessing) -> Image.Image:
    if contract.aspect != "center-crop":
        return plane
    side = min(plane.width, plane.height)
    top, left = (plane.height - side) // 2, (plane.width - side) // 2
    return plane.crop((left, top, left + side, top + side))


def _resized(plane: Image.Image, contract: Preprocessing) -> Plane:
    height, width = contract.inside(plane.height, plane.width)
    # One pass after the other: which of the two comes first would be Pillow's choice, another in each version, and
    # decides on values half-way between two levels.
    narrow = Image.fromarray(_narrowed(plane, width))
    return np.asarray(narrow.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)


def _narrowed(plane: Image.Image, width: int) -> Plane:
    """The pass along the rows: float32 [h, width]. A few rows at a time, whose floats stay in the processor's cache:
    all of a large image's would be eight megabytes that the system has to find anew for each image."""
    rows = max(1, STRIP_PIXELS // plane.width)
    strips = []
    for top in range(0, plane.height, rows):
        strip = plane.crop((0, top, plane.width, min(top + rows, plane.height))).convert("F")
        strips.append(np.asarray(strip.resize((width, strip.height), Image.Resampling.BILINEAR)))
    return np.concatenate(strips)


def _pad(pixels: Pixels, contract: Preprocessing) -> Pixels:
    height, width = pixels.shape[:2]
    if (height, width) == (contract.height, contract.width):
        return pixels
    padded = np.zeros((contract.height, contract.width, contract.channels), np.uint8)
    top, left = (contract.height - height) // 2, (contract.width - width) // 2
    padded[top : top + height, left : left + width] = pixels
    return padded
