"""Pixels as a viewer shows them: modality LUT, then VOI LUT or window, then the whole range of 8 bits.

The steps are pydicom's own (`pydicom.pixels.processing`, after PS3.3 C.11.1 and C.11.2), applied to a table of all
values between the smallest and the largest instead of to every pixel: the same numbers in less time and memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi, apply_windowing
from pydicom.pixels.utils import pixel_array

from cxr.manifests.dicom.header import syntax_name
from cxr.manifests.dicom.problems import DICOM_ERRORS

if TYPE_CHECKING:
    from pydicom import Dataset

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

#: More values than 16 bits have, signed or not: such pixels are no radiograph's.
_MAX_VALUES: Final = 1 << 17
#: Far outside any pixel value: what a window makes of them are the ends of its range.
_FAR: Final = 1e12
_MAY_BE_EMPTY: Final = ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A grey picture (rows x columns, uint8, 0 black) and what is to be said of it: rules and messages."""

    pixels: Pixels
    notes: tuple[tuple[str, str], ...] = ()


class PixelError(Exception):
    """The pixels cannot become a picture, under a rule of DICOM_RULES."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message


def render(dataset: Dataset) -> Rendered:
    """The picture of a single-frame DICOM image.

    MONOCHROME1 is inverted; of several windows the first counts, a VOI LUT goes before a window; without either, or
    when they cannot be used or show nothing, the smallest to the largest value; padding is black and counts for
    nothing; colour becomes luma (ITU-R BT.601). Elements of rescaling and windowing that are empty are taken out of
    `dataset`: they count as absent.

    Raises PixelError.
    """
    if "PixelData" not in dataset:
        raise PixelError("broken-pixels", "has no pixel data")
    try:
        _drop_empty(dataset)
        stored = pixel_array(dataset)
        if _has_odd_high_bit(dataset):
            raise PixelError("unsupported-pixels", "its values do not begin at the lowest bit (High Bit, 0028,0102)")
        photometric = str(dataset.PhotometricInterpretation)
        if photometric in ("MONOCHROME1", "MONOCHROME2"):
            return _grey(stored, dataset, inverted=photometric == "MONOCHROME1")
        if photometric == "PALETTE COLOR":
            return _colour(apply_color_lut(stored, dataset))
        if stored.ndim == 3 and stored.shape[2] == 3:
            return _colour(stored if stored.dtype == np.uint8 else stored >> max(0, int(dataset.BitsStored) - 8))
    except DICOM_ERRORS as error:
        syntax = syntax_name(str(dataset.file_meta.get("TransferSyntaxUID", "")))
        message = f"its pixels cannot be decoded ({syntax}; {type(error).__name__})"
        raise PixelError("broken-pixels", message) from error
    raise PixelError("unsupported-pixels", "neither grey nor colour pixels")


def _drop_empty(dataset: Dataset) -> None:
    for keyword in _MAY_BE_EMPTY:
        if keyword in dataset and dataset.get(keyword) in (None, ""):
            del dataset[keyword]


def _has_odd_high_bit(dataset: Dataset) -> bool:
    # PS3.5, 8.1.1 wants it one less than Bits Stored; pydicom takes no notice of another.
    high = dataset.get("HighBit")
    return high not in (None, "") and int(high) != int(dataset.BitsStored) - 1


def _colour(colours: npt.NDArray[Any]) -> Rendered:
    narrow = (colours >> 8 if colours.dtype == np.uint16 and colours.max() > 255 else colours).astype(np.uint8)
    pixels = np.asarray(Image.fromarray(narrow, "RGB").convert("L"))
    if pixels.min() == pixels.max():
        raise PixelError("flat-image", "all its pixels have one value")
    return Rendered(pixels, (("colour", "a colour image, made grey"),))


def _grey(stored: npt.NDArray[Any], dataset: Dataset, *, inverted: bool) -> Rendered:
    if stored.ndim != 2 or stored.dtype.kind not in "iu":
        raise PixelError("unsupported-pixels", "not one plane of whole numbers")
    low, high = int(stored.min()), int(stored.max())
    if high - low >= _MAX_VALUES:
        raise PixelError("unsupported-pixels", "more than 16 bits a pixel")
    values = np.arange(low, high + 1, dtype=np.int64)
    index = stored.astype(np.int64) - low
    present = np.zeros(len(values), dtype=bool)
    present[index] = True
    padding = _padding(values, dataset)
    present &= ~padding
    shades = apply_modality_lut(values, dataset).astype(np.float64)
    if not present.any() or not np.isfinite(shades).all() or np.ptp(shades[present]) == 0:
        raise PixelError("flat-image", "all its pixels have one value")
    notes: tuple[tuple[str, str], ...] = ()
    try:
        shown = _windowed(shades, dataset)
        if shown is not None and np.ptp(_to_bytes(shown)[present]) == 0:
            raise ValueError("all of one shade")
    except DICOM_ERRORS:
        shown, notes = None, (("bad-window", "its window cannot be used or shows nothing: the full range was taken"),)
    if shown is None:
        shown = (shades - shades[present].min()) / np.ptp(shades[present])
    table = _to_bytes(shown)
    if inverted:
        table = 255 - table
    table[padding] = 0
    return Rendered(table[index], notes)


def _windowed(shades: Values, dataset: Dataset) -> Values | None:
    """The shades through VOI LUT or window, 0 to 1; None when the file has neither."""
    items = dataset.get("VOILUTSequence")
    if items and items[0].get("LUTDescriptor") is not None and items[0].get("LUTData") is not None:
        count, first = int(items[0].LUTDescriptor[0]) or 1 << 16, int(items[0].LUTDescriptor[1])
        every = apply_voi(np.arange(first, first + count), dataset).astype(np.float64)
        inside = np.clip(np.rint(shades), first, first + count - 1).astype(np.int64)
        return (every[inside - first] - every.min()) / np.ptp(every) if np.ptp(every) else None
    if dataset.get("WindowCenter") is None or dataset.get("WindowWidth") is None:
        return None
    with np.errstate(over="ignore"):
        shown = apply_windowing(np.concatenate([shades, [-_FAR, _FAR]]), dataset)
    below, above = shown[-2], shown[-1]
    return np.asarray((shown[:-2] - below) / (above - below), dtype=np.float64)


def _padding(values: npt.NDArray[np.int64], dataset: Dataset) -> npt.NDArray[np.bool_]:
    first = _padding_value(dataset, "PixelPaddingValue")
    if first is None:
        return np.zeros(len(values), dtype=bool)
    last = _padding_value(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    return (values >= low) & (values <= high)


def _padding_value(dataset: Dataset, keyword: str) -> int | None:
    value = dataset.get(keyword)
    if value is None or value == "":
        return None
    number = int(value)
    # Often written as unsigned although the pixels are signed.
    signed = dataset.PixelRepresentation == 1
    bits = int(dataset.BitsAllocated)
    return number - (1 << bits) if signed and number >= 1 << (bits - 1) else number


def _to_bytes(shades: Values) -> Pixels:
    if not np.isfinite(shades).all():
        raise ValueError("not finite")
    return np.asarray(np.rint(np.clip(shades, 0, 1) * 255), dtype=np.uint8)
