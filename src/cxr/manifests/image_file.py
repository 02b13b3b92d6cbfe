"""One image file: read once, hashed, identified and fully decoded."""

from __future__ import annotations

import base64
import hashlib
import io
import stat
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import google_crc32c
from PIL import Image, UnidentifiedImageError

from cxr.manifests.manifest import Problem
from cxr.manifests.problems import problem

#: Suffix -> the format Pillow should find. Nothing else counts as an image's suffix.
SUFFIX_FORMATS: Final = {
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".jpe": "JPEG",
    ".png": "PNG",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".ico": "ICO",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
FORMATS: Final = tuple(dict.fromkeys(SUFFIX_FORMATS.values()))
#: An image's first bytes, for files without an image's suffix.
MAGIC: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
#: Far above any radiograph; a file beyond it is not read into memory.
MAX_BYTES: Final = 256 * 1024 * 1024
#: What Pillow's decoders raise for bad bytes, found by fuzzing them.
DECODE_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    EOFError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the bytes of one image say: size in bytes, sha256 (hex), crc32c (base64, big-endian), pixels."""

    size: int
    sha256: str
    crc32c: str
    width: int
    height: int
    format: str


def read_image_file(path: Path, relative: str) -> tuple[ImageFacts | None, list[Problem]]:
    """Read the file once. Returns its facts, or None when it is no usable image, and the problems found.

    Nothing about a file is fatal: what the disk or the decoder raises becomes a Problem.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None, [problem("other-file", relative, "not a regular file")]
        looks_like_image = path.suffix.lower() in SUFFIX_FORMATS
        if status.st_size == 0:
            rule = "empty-file" if looks_like_image else "other-file"
            return None, [problem(rule, relative, "the file is empty (0 bytes)")]
        if not looks_like_image and (other := _other_file(path, relative)) is not None:
            return None, [other]
        if status.st_size > MAX_BYTES:
            return None, [problem("too-large", relative, f"{status.st_size / 1e6:,.0f} MB: too large for an image")]
        data = path.read_bytes()
    except OSError as error:
        return None, [problem("unreadable", relative, f"cannot be read: {error.strerror or error}")]
    return _facts(data, path.suffix.lower(), relative)


def _other_file(path: Path, relative: str) -> Problem | None:
    with path.open("rb") as stream:
        head = stream.read(132)
    if head[128:] == b"DICM":
        return problem("dicom-file", relative, "a DICOM file")
    if head.startswith(MAGIC):
        return None
    return problem("other-file", relative, "not an image")


def _facts(data: bytes, suffix: str, relative: str) -> tuple[ImageFacts | None, list[Problem]]:
    if data[128:132] == b"DICM":
        return None, [problem("dicom-file", relative, "a DICOM file")]
    try:
        width, height, found = _decode(data)
    except UnidentifiedImageError:
        return None, [problem("not-an-image", relative, f"named {suffix or 'as an image'}, but the bytes are no image")]
    except DECODE_ERRORS as error:
        return None, [problem("broken-image", relative, f"does not decode: {_one_line(error)}")]
    facts = ImageFacts(
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        crc32c=base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode("ascii"),
        width=width,
        height=height,
        format=found,
    )
    if SUFFIX_FORMATS.get(suffix) != found:
        return facts, [problem("wrong-suffix", relative, f"is {found}, but is named {suffix or 'without a suffix'}")]
    return facts, []


def _decode(data: bytes) -> tuple[int, int, str]:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        width, height = image.size
        if width * height > (Image.MAX_IMAGE_PIXELS or 1 << 62):
            raise Image.DecompressionBombError(f"{width} x {height} pixels: too many to be a radiograph")
        image.load()
        # A camera's JPEG with an embedded preview calls itself MPO.
        return width, height, "JPEG" if image.format == "MPO" else str(image.format)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:160] or type(error).__name__
