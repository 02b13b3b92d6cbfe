"""One image file: read once, hashed, identified and fully decoded."""

from __future__ import annotations

import base64
import hashlib
import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import google_crc32c
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from cxr.manifests.duplicates.perceptual_hash import perceptual_hash
from cxr.manifests.manifest import Problem
from cxr.manifests.scan.problems import problem

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
#: DICOM, part 10: four letters after a preamble of 128 bytes.
DICOM_MAGIC: Final = b"DICM"
DICOM_MAGIC_AT: Final = 128
#: Far above any radiograph; a file beyond it is not read into memory.
MAX_BYTES: Final = 256 * 1024 * 1024
#: Far above any radiograph (about 20 megapixels), and Pillow's own limit: 256 MiB of RGB.
MAX_PIXELS: Final = 1024 * 1024 * 1024 // 4 // 3
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
    Image.DecompressionBombWarning,
)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the bytes of one image say: size in bytes, sha256 and md5 (hex), crc32c (base64, big-endian), pixels as
    stored, EXIF orientation (1 to 8), and the perceptual hash (hex; empty where none was wanted)."""

    size: int
    sha256: str
    md5: str
    crc32c: str
    width: int
    height: int
    mode: str
    format: str
    orientation: int
    perceptual_hash: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How images are read: `decode` to the last pixel or only the header; `hashed` with a perceptual hash (needs the
    decode)."""

    decode: bool = True
    hashed: bool = False


@dataclass(frozen=True, slots=True)
class _Picture:
    width: int
    height: int
    mode: str
    format: str
    orientation: int
    perceptual_hash: str
    remarks: tuple[Problem, ...]


def looks_like_image(name: str) -> bool:
    """Whether a file's suffix is an image's."""
    return suffix_of(name) in SUFFIX_FORMATS


def suffix_of(name: str) -> str:
    """A file name's suffix in lower case, as `Path.suffix` has it, at a tenth of the time."""
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix}".lower() if dot and suffix and "/" not in suffix and stem[-1:] not in {"", "/"} else ""


def judge_size(relative: str, size: int) -> Problem | None:
    """What a file's size in bytes alone says against it."""
    if size == 0:
        rule = "empty-file" if looks_like_image(relative) else "other-file"
        return problem(rule, relative, "the file is empty (0 bytes)")
    if size > MAX_BYTES and looks_like_image(relative):
        return problem("too-large", relative, f"{size / 1e6:,.0f} MB: too large for an image")
    return None


def read_image_file(
    path: Path, relative: str, size: int, reading: Reading = Reading()
) -> tuple[ImageFacts | None, list[Problem]]:
    """Read a regular file of `size` bytes once. Returns its facts, or None when it is no usable image, and the problems
    found.

    Nothing about a file is fatal: what the disk or the decoder raises becomes a Problem.
    """
    bad = judge_size(relative, size)
    if bad is not None:
        return None, [bad]
    try:
        with path.open("rb", buffering=0) as stream:
            if not looks_like_image(relative):
                other = _other_file(stream.read(DICOM_MAGIC_AT + 4), relative, size)
                if other is not None:
                    return None, [other]
                stream.seek(0)
            data = stream.read()
    except OSError as error:
        return None, [problem("unreadable", relative, f"cannot be read: {error.strerror or error}")]
    except MemoryError:
        return None, [problem("unreadable", relative, "cannot be read: not enough memory")]
    return _facts(data, relative, reading)


def _other_file(head: bytes, relative: str, size: int) -> Problem | None:
    if head[DICOM_MAGIC_AT:] == DICOM_MAGIC:
        return problem("dicom-file", relative, "a DICOM file")
    if head.startswith(MAGIC) and size <= MAX_BYTES:
        return None
    return problem("other-file", relative, "not an image")


def _facts(data: bytes, relative: str, reading: Reading) -> tuple[ImageFacts | None, list[Problem]]:
    suffix = suffix_of(relative)
    if data[DICOM_MAGIC_AT : DICOM_MAGIC_AT + 4] == DICOM_MAGIC:
        return None, [problem("dicom-file", relative, "a DICOM file")]
    try:
        picture = _look(data, relative, reading)
    except UnidentifiedImageError:
        return None, [problem("not-an-image", relative, f"named {suffix or 'as an image'}, but the bytes are no image")]
    except Image.DecompressionBombError as error:
        return None, [problem("too-many-pixels", relative, _one_line(error))]
    except MemoryError:
        # Perhaps the machine's state, not the file's: another scan may fare better.
        return None, [problem("unreadable", relative, "cannot be decoded: not enough memory, or a broken header")]
    except DECODE_ERRORS as error:
        return None, [problem("broken-image", relative, f"does not decode: {_one_line(error)}")]
    facts = ImageFacts(
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        crc32c=base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode("ascii"),
        width=picture.width,
        height=picture.height,
        mode=picture.mode,
        format=picture.format,
        orientation=picture.orientation,
        perceptual_hash=picture.perceptual_hash,
    )
    found = list(picture.remarks)
    if SUFFIX_FORMATS.get(suffix) != facts.format:
        found.append(
            problem("wrong-suffix", relative, f"is {facts.format}, but is named {suffix or 'without a suffix'}")
        )
    return facts, found


def _look(data: bytes, relative: str, reading: Reading) -> _Picture:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        width, height = _stored_size(image)
        if width * height > MAX_PIXELS:
            raise Image.DecompressionBombError(f"{width:,} x {height:,} pixels: too many to be a radiograph")
        if image.mode == "LAB":
            raise ValueError("LAB colours, which have no way to grey")
        # A camera's JPEG with an embedded preview calls itself MPO.
        found = "JPEG" if image.format == "MPO" else str(image.format)
        orientation = _orientation(image, reading)
        mode = image.mode
        remarks = tuple(_remarks(image, data, relative, orientation))
        hashed = ""
        if reading.decode:
            image.load()
            hashed = perceptual_hash(image) if reading.hashed else ""
        return _Picture(width, height, mode, found, orientation, hashed, remarks)


def _stored_size(image: Image.Image) -> tuple[int, int]:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # Pillow gives a TIFF's size as it is shown, turned by its orientation.
        return int(image.tag_v2[ExifTags.Base.ImageWidth]), int(image.tag_v2[ExifTags.Base.ImageLength])
    return image.size


def _orientation(image: Image.Image, reading: Reading) -> int:
    if image.format == "PNG" and not reading.decode and "exif" not in image.info:
        return 1  # to look further Pillow would decode it
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in range(1, 9) else 1


def _remarks(image: Image.Image, data: bytes, relative: str, orientation: int) -> list[Problem]:
    found = []
    if orientation != 1:
        found.append(problem("rotated", relative, f"its EXIF orientation is {orientation}: the pixels lie otherwise"))
    if image.format != "MPO" and getattr(image, "is_animated", False):
        found.append(problem("animated", relative, f"has {getattr(image, 'n_frames', 2)} frames"))
    if image.mode.startswith("I") or image.mode == "F" or _is_deep_png(data):
        found.append(problem("sixteen-bit", relative, f"has more than 8 bits a pixel (mode {image.mode})"))
    if image.mode == "CMYK":
        found.append(problem("cmyk", relative, "its colours are CMYK"))
    return found


def _is_deep_png(data: bytes) -> bool:
    # Colour of 16 bits a channel, which Pillow opens as 8: the bit depth is the 25th byte of a PNG.
    return data.startswith(b"\x89PNG") and data[24:25] == b"\x10"


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:160] or type(error).__name__
