"""A map laid over the original image, at the original's size."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from cxr.bundle import Preprocessing
from cxr.errors import InputError
from cxr.local_baseline.images.preprocess import load_image
from cxr.manifests.scan.image_file import DECODE_ERRORS, FORMATS

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

#: Colours of no evidence to the strongest: nine points of Matplotlib's map "inferno".
COLOURS = np.array(
    [(0, 0, 4), (33, 12, 74), (87, 16, 110), (138, 34, 106), (188, 55, 84), (228, 90, 49), (249, 142, 9),
     (249, 203, 53), (252, 255, 164)]
)  # fmt: skip
#: How much of the image the strongest evidence hides.
MOST_OPAQUE = 0.6


def original_pixels(data: bytes, name: str) -> Pixels:
    """The image at its own size, uint8 [height, width], decoded as for the model. Raises InputError."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
    except (*DECODE_ERRORS, Image.DecompressionBombError) as error:
        raise InputError(f"{name} cannot be decoded: {error}", hint="find all such files: cxr data check") from error
    return load_image(data, Preprocessing(height, width, 1), name=name)[..., 0]


def to_original(heat: Floats, contract: Preprocessing, height: int, width: int) -> Floats:
    """A map [h, w] of the model's input as a map [height, width] of the original image: the contract's crop or padding
    undone, bilinear in between. What the model did not see is 0."""
    source = Image.fromarray(np.ascontiguousarray(heat, dtype=np.float32))
    if contract.aspect == "center-crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        canvas = np.zeros((height, width), np.float32)
        seen = source.resize((side, side), Image.Resampling.BILINEAR)
        canvas[top : top + side, left : left + side] = np.asarray(seen)
        return canvas
    box = _inside(contract, height, width)
    scale = heat.shape[1] / contract.width, heat.shape[0] / contract.height
    region = (box[0] * scale[0], box[1] * scale[1], box[2] * scale[0], box[3] * scale[1])
    return np.array(source.resize((width, height), Image.Resampling.BILINEAR, box=region))


def _inside(contract: Preprocessing, height: int, width: int) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the image within the model's input, in its pixels."""
    shown_height, shown_width = contract.inside(height, width)
    top, left = (contract.height - shown_height) // 2, (contract.width - shown_width) // 2
    return float(left), float(top), float(left + shown_width), float(top + shown_height)


def overlay(image: Pixels, heat: Floats, *caption: str) -> Image.Image:
    """An RGB picture: `image` uint8 [h, w] in its own size at the upper left, covered by `heat` [h, w] (0..1), a colour
    bar beside it, the lines of the caption below."""
    height, width = image.shape
    font_size = int(np.clip(width / 40, 11, 40))
    font = ImageFont.load_default(font_size)
    line_height = round(1.4 * font_size)
    gap, bar = font_size // 2, max(8, font_size)
    beside = width + gap + bar + gap // 2 + 3 * font_size
    canvas = Image.new(
        "RGB",
        (
            max(beside, *(int(font.getlength(line)) + 2 * gap for line in caption)),
            height + line_height * len(caption) + gap,
        ),
        "white",
    )
    canvas.paste(Image.fromarray(covered(image, heat)), (0, 0))
    ramp = np.repeat(np.linspace(1, 0, height, dtype=np.float32)[:, None], bar, axis=1)
    canvas.paste(Image.fromarray(np.round(coloured(ramp)).astype(np.uint8)), (width + gap, 0))
    draw = ImageDraw.Draw(canvas)
    for value in (1.0, 0.5, 0.0):
        top = min(max((1 - value) * height - font_size / 2, 0), height - font_size)
        draw.text((width + gap + bar + gap // 2, top), f"{value:g}", fill="black", font=font)
    for number, line in enumerate(caption):
        draw.text((gap, height + gap // 2 + number * line_height), line, fill="black", font=font)
    return canvas


def covered(image: Pixels, heat: Floats) -> Pixels:
    """The image uint8 [h, w] with `heat` [h, w] (0..1) laid over it: uint8 [h, w, 3]."""
    share = np.clip(heat, 0.0, 1.0)[..., None]
    opacity = MOST_OPAQUE * np.sqrt(share)
    mixed = image[..., None] * (1 - opacity) + coloured(share[..., 0]) * opacity
    return np.asarray(np.round(mixed), dtype=np.uint8)


def coloured(share: Floats) -> Floats:
    """0..1 as colours, float [..., 3] of 0..255."""
    steps = np.linspace(0, 1, len(COLOURS))
    return np.stack([np.interp(share, steps, COLOURS[:, channel]) for channel in range(3)], axis=-1).astype(np.float32)
