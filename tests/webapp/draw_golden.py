"""Draw the golden images and write down what Python makes of them: `python tests/webapp/draw_golden.py`.

Run it when a kind of file or a contract joins. What it writes for a file that was there before must be the same; a
test compares.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from golden_pixels import CONTRACTS, EXPECTED_FILE
from PIL import Image, ImageCms

from cxr.golden import FOLDER, golden_images
from cxr.local_baseline.images.preprocess import load_image

Pixels = npt.NDArray[Any]
#: Turned by a quarter: EXIF orientation 6.
TURNED = 6
ORIENTATION = 0x0112


def picture(height: int, width: int, seed: int, *, levels: int = 256) -> Pixels:
    """Soft blobs, a fine grating and a hard edge: uint16 [height, width] of 0..levels - 1."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    rng = np.random.default_rng(seed)
    values = 0.12 * np.sin(240 * x + 90 * y) + 0.25 * (y > 0.4)
    for centre_y, centre_x, spread in rng.uniform((0, 0, 0.05), (1, 1, 0.3), (5, 3)):
        values += 0.6 * np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / spread**2)
    values = (values - values.min()) / np.ptp(values)
    return np.asarray(np.rint(values * (levels - 1)), dtype=np.uint16)


def grey(height: int, width: int, seed: int) -> Image.Image:
    """A grey picture of height x width pixels (8 bits)."""
    return Image.fromarray(picture(height, width, seed).astype(np.uint8))


def colour(height: int, width: int, seed: int, bands: int = 3, mode: str = "RGB") -> Image.Image:
    """A picture whose bands differ (8 bits each)."""
    planes = [picture(height, width, seed + band) for band in range(bands)]
    return Image.frombytes(mode, (width, height), np.dstack(planes).astype(np.uint8).tobytes())


def foreign_profile() -> bytes:
    """An ICC profile that exchanges red and blue: whoever obeys it is found out."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return plain.replace(b"rXYZ", b"swap").replace(b"bXYZ", b"rXYZ").replace(b"swap", b"bXYZ")


def turned_and_profiled() -> dict[str, Any]:
    """Options of a JPEG that says it is to be turned and has a profile of its own."""
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED
    return {"exif": exif, "icc_profile": foreign_profile()}


def transparent() -> Image.Image:
    """Colours below a transparency from nothing to all: the contract ignores it."""
    image = colour(40, 50, 40)
    image.putalpha(Image.fromarray(np.linspace(0, 255, 40 * 50).reshape(40, 50).astype(np.uint8)))
    return image


def deep() -> Image.Image:
    """16-bit grey, with the lower byte in use."""
    return Image.fromarray(picture(60, 75, 50, levels=1 << 16))


IMAGES: Mapping[str, tuple[Callable[[], Image.Image], dict[str, Any]]] = {
    "grey-odd.jpeg": (lambda: grey(183, 221, 1), {"quality": 80}),
    "grey-tall.jpeg": (lambda: grey(260, 61, 2), {"quality": 85}),
    "grey-wide.jpeg": (lambda: grey(71, 290, 3), {"quality": 85}),
    "grey-progressive.jpeg": (lambda: grey(160, 190, 4), {"quality": 80, "progressive": True}),
    "colour-444.jpeg": (lambda: colour(120, 151, 10), {"quality": 80, "subsampling": 0}),
    "colour-420.jpeg": (lambda: colour(121, 150, 20), {"quality": 80, "subsampling": 2}),
    "turned-with-profile.jpeg": (
        lambda: colour(90, 140, 30),
        {"quality": 80, "subsampling": 0, **turned_and_profiled()},
    ),
    "cmyk.jpeg": (lambda: colour(60, 50, 35, 4, "CMYK"), {"quality": 80}),
    "grey.png": (lambda: grey(76, 88, 5), {}),
    "rgb.png": (lambda: colour(40, 52, 36), {}),
    "transparent.png": (transparent, {}),
    "palette.png": (lambda: colour(60, 80, 60).quantize(32, dither=Image.Dither.NONE), {}),
    "grey-16-bit.png": (deep, {}),
    "one-bit.png": (lambda: grey(75, 97, 6).convert("1"), {}),
    "smaller-than-any-input.png": (lambda: grey(5, 7, 7), {}),
    "lossless.webp": (lambda: colour(57, 70, 45), {"lossless": True}),
    "with-gamma.png": (lambda: grey(40, 50, 8), {}),
}


def with_gamma(png: bytes) -> bytes:
    """A gAMA chunk of 1.0 behind the header: obeyed, it would darken the picture."""
    body = b"gAMA" + struct.pack(">I", 100_000)
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    after_header = 8 + 25
    return png[:after_header] + chunk + png[after_header:]


def main() -> None:
    """Draw what is missing, and write the expected pixels of all."""
    FOLDER.mkdir(exist_ok=True)
    for name, (draw, options) in IMAGES.items():
        path = FOLDER / name
        if not path.exists():
            draw().save(path, **options)
            if name == "with-gamma.png":
                path.write_bytes(with_gamma(path.read_bytes()))
    arrays = {
        f"{path.name}/{key}": load_image(path, contract)
        for path in golden_images()
        for key, contract in CONTRACTS.items()
    }
    np.savez_compressed(EXPECTED_FILE, **arrays)


if __name__ == "__main__":
    main()
