"""DICOM pixels become the picture that a viewer shows, by the formulas of PS3.3 C.11 and by pydicom's own functions."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from dicom_made import dicom, put_dicom, ramp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_windowing
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from cxr.manifests.dicom import (
    DICOM_RULES,
    ImportOptions,
    PixelError,
    Pseudonyms,
    plan_import,
    render,
    run_import,
    write_dropped_tags,
)
from cxr.manifests.dicom.header import read_dataset


def _read(tmp_path: Path, made: Dataset) -> Dataset:
    return read_dataset(put_dicom(tmp_path / "x", made), pixels=True)


def _rendered(tmp_path: Path, made: Dataset) -> np.ndarray:
    return render(_read(tmp_path, made)).pixels


def _expected(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_whole_range_of_any_depth_becomes_8_bits(tmp_path: Path, bits: int) -> None:
    high = (1 << bits) - 1
    pixels = _rendered(tmp_path, dicom(bits=bits))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, _expected(ramp(0, high), 0, high))
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    plain = _rendered(tmp_path, dicom())
    assert np.array_equal(_rendered(tmp_path, dicom(PhotometricInterpretation="MONOCHROME1")), 255 - plain)


def test_signed_pixels_and_bits_above_those_stored(tmp_path: Path) -> None:
    assert np.array_equal(_rendered(tmp_path, dicom(ramp(-2048, 2047))), _expected(ramp(-2048, 2047), -2048, 2047))
    dirty = dicom()
    dirty.PixelData = (np.frombuffer(dirty.PixelData, "<u2") | 0xA000).tobytes()  # an overlay of old, say
    assert np.array_equal(_rendered(tmp_path, dirty), _rendered(tmp_path, dicom()))


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("slope", "intercept"), [(None, None), (2.0, -1000.0), (0.5, 3.0)])
def test_rescale_and_window_are_those_of_pydicom(
    tmp_path: Path, function: str | None, slope: float | None, intercept: float | None, inverted: bool
) -> None:
    tags = {"WindowCenter": [1500.0, 10.0], "WindowWidth": [800.0, 20.0]}  # the first of the two counts
    tags |= {"VOILUTFunction": function} if function else {}
    tags |= {"RescaleSlope": slope, "RescaleIntercept": intercept} if slope else {}
    tags |= {"PhotometricInterpretation": "MONOCHROME1"} if inverted else {}
    read = _read(tmp_path, dicom(**tags))
    shown = apply_windowing(apply_modality_lut(read.pixel_array, read), read)
    low, high = (intercept or 0.0), 4095 * (slope or 1.0) + (intercept or 0.0)
    expected = _expected(shown, low, high)
    assert np.array_equal(render(read).pixels, 255 - expected if inverted else expected)


def test_a_linear_window_by_the_formula_of_the_standard(tmp_path: Path) -> None:
    # PS3.3 C.11.2.1.2.1: below c - 0.5 - (w-1)/2 black, above c - 0.5 + (w-1)/2 white, else a line.
    values = ramp().astype(float)
    line = (values - (1000 - 0.5)) / (201 - 1) + 0.5
    pixels = _rendered(tmp_path, dicom(WindowCenter=1000, WindowWidth=201))
    assert np.array_equal(pixels, np.rint(np.clip(line, 0, 1) * 255).astype(np.uint8))
    assert (pixels[values < 899].max(), pixels[values > 1100].min()) == (0, 255)


def test_a_voi_lut_goes_before_a_window_and_a_modality_lut_before_both(tmp_path: Path) -> None:
    def lut(entries: list[int]) -> Dataset:
        item = Dataset()
        item.LUTDescriptor = [len(entries), 0, 16]
        item.add_new("LUTData", "US", entries)
        return item

    made = dicom(np.array([[0, 1], [2, 3]]), bits=8, WindowCenter=1, WindowWidth=2)
    made.VOILUTSequence = [lut([0, 100, 50, 200])]
    assert _rendered(tmp_path, made).tolist() == [[0, 128], [64, 255]]
    made.ModalityLUTSequence = [lut([3, 2, 1, 0])]
    made.ModalityLUTSequence[0].ModalityLUTType = "US"
    assert _rendered(tmp_path, made).tolist() == [[255, 64], [128, 0]]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_counts_for_nothing(tmp_path: Path, photometric: str) -> None:
    padded = ramp(1000, 2000)
    padded[0, :5] = 4000
    made = _rendered(tmp_path, dicom(padded, PixelPaddingValue=4000, PhotometricInterpretation=photometric))
    rest = _expected(padded[1:], padded.flat[5], 2000)
    assert made[0, :5].tolist() == [0] * 5
    assert np.array_equal(made[1:], 255 - rest if photometric == "MONOCHROME1" else rest)


def test_padding_of_signed_pixels_is_known_even_when_written_as_unsigned(tmp_path: Path) -> None:
    padded = ramp(-500, 500)
    padded[0, :5] = -2000
    padded[0, 5:8] = -1990
    made = dicom(padded)
    made.add_new("PixelPaddingValue", "US", -2000 & 0xFFFF)
    made.add_new("PixelPaddingRangeLimit", "SS", -1980)
    assert np.array_equal(_rendered(tmp_path, made)[1:], _expected(padded[1:], padded.flat[8], 500))


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 1000, "WindowWidth": 0},
        {"WindowCenter": 90000, "WindowWidth": 10},
        {"WindowCenter": 1000, "WindowWidth": 100, "VOILUTFunction": "WAVY"},
    ],
    ids=["no-width", "shows-nothing", "unknown-function"],
)
def test_a_window_of_no_use_is_told_and_the_full_range_taken(tmp_path: Path, tags: dict[str, object]) -> None:
    rendered = render(_read(tmp_path, dicom(**tags)))
    assert [rule for rule, _ in rendered.notes] == ["bad-window"]
    assert np.array_equal(rendered.pixels, _rendered(tmp_path, dicom()))


@pytest.mark.parametrize(
    "empty", ["RescaleSlope", "RescaleIntercept", "VOILUTFunction", "WindowCenter", "RescaleSlope RescaleIntercept"]
)
def test_an_empty_element_counts_as_absent(tmp_path: Path, empty: str) -> None:
    tags = {"WindowCenter": 1500, "WindowWidth": 800, "RescaleSlope": 1, "RescaleIntercept": 0}
    present = {keyword: value for keyword, value in tags.items() if keyword not in empty}
    rendered = render(_read(tmp_path, dicom(**tags | dict.fromkeys(empty.split(), ""))))
    assert rendered.notes == ()
    assert np.array_equal(rendered.pixels, _rendered(tmp_path, dicom(**present)))


def test_colour_becomes_grey_and_is_told(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (20, 24, 3))
    rendered = render(_read(tmp_path, dicom(colours, bits=8)))
    assert [rule for rule, _ in rendered.notes] == ["colour"]
    expected = np.asarray(Image.fromarray(colours.astype(np.uint8)).convert("L"))
    assert np.array_equal(rendered.pixels, expected)


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    made = dicom(np.array([[0, 1], [2, 3]]), bits=8, PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        made.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [4, 0, 16])
        data = np.array([0, 0x4000, 0x8000, 0xFF00], "<u2").tobytes()
        made.add_new(f"{colour}PaletteColorLookupTableData", "OW", data)
    assert _rendered(tmp_path, made).tolist() == [[0, 64], [128, 255]]


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless], ids=lambda uid: uid.name
)
def test_lossless_transfer_syntaxes_give_the_same_picture(tmp_path: Path, syntax: str) -> None:
    made = dicom()
    if syntax == RLELossless:
        made.compress(RLELossless)
    made.file_meta.TransferSyntaxUID = syntax
    made.WindowCenter, made.WindowWidth = 1000, 500
    assert np.array_equal(_rendered(tmp_path, made), _rendered(tmp_path, dicom(WindowCenter=1000, WindowWidth=500)))


@pytest.mark.parametrize(
    ("syntax", "format", "tolerance"), [(JPEGBaseline8Bit, "JPEG", 6), (JPEG2000Lossless, "JPEG2000", 0)]
)
def test_jpeg_inside_dicom_is_decoded(tmp_path: Path, syntax: str, format: str, tolerance: int) -> None:
    pixels = ramp(0, 255, (64, 64))
    stream = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(
        stream, format, **({"quality": 95} if format == "JPEG" else {"no_jp2": True})
    )
    made = dicom(pixels, bits=8)
    made.PixelData = encapsulate([stream.getvalue()])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = syntax
    difference = np.abs(_rendered(tmp_path, made).astype(int) - pixels)
    assert difference.max() <= tolerance


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        (lambda: dicom(np.full((4, 4), 7)), "flat-image"),
        (lambda: dicom(PixelData=None), "broken-pixels"),
        (lambda: dicom(PixelData=b"\0\0" * 30), "broken-pixels"),
        (lambda: dicom(BitsStored=19), "broken-pixels"),
        (lambda: dicom(ramp(0, 1 << 20), bits=32), "unsupported-pixels"),
        (lambda: dicom(PhotometricInterpretation="HSV"), "unsupported-pixels"),
        (lambda: dicom(ramp() << 4, HighBit=15), "unsupported-pixels"),
        (lambda: dicom(RescaleSlope=0, RescaleIntercept=5), "flat-image"),
    ],
    ids=["flat", "no-pixel-data", "cut-off", "impossible-depth", "32-bits", "unknown-colours", "high-bit", "slope-0"],
)
def test_pixels_that_are_no_picture_are_refused_by_rule(tmp_path: Path, made, rule: str) -> None:
    with pytest.raises(PixelError) as caught:
        _rendered(tmp_path, made())
    assert caught.value.rule == rule


def test_big_endian_files_are_read(tmp_path: Path) -> None:
    made = dicom()
    made["PixelData"].value = np.frombuffer(made.PixelData, "<u2").astype(">u2").tobytes()
    made.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    path = put_dicom(tmp_path / "big", made)
    assert dcmread(path).file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    assert np.array_equal(render(read_dataset(path, pixels=True)).pixels, _rendered(tmp_path, dicom()))


def _valid() -> bytes:
    made = dicom(ramp(0, 4095, (6, 5)), WindowCenter=[2000, 3], WindowWidth=[900, 4], PixelPaddingValue=4000)
    made.RescaleSlope, made.RescaleIntercept = 1, 0
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    made.ReferencedStudySequence = [item]
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


VALID = _valid()
#: Where the elements that decide on the picture begin: group 0028.
IMAGE_GROUP = VALID.index(b"\x28\0\2\0")
_AT = st.integers(IMAGE_GROUP, len(VALID) - 1) | st.integers(132, len(VALID) - 1)
_CHANGES = st.lists(st.tuples(_AT, st.binary(min_size=1, max_size=4)), max_size=4)


@settings(max_examples=150, deadline=None)
@given(changes=_CHANGES, end=st.just(len(VALID)) | st.integers(132, len(VALID)))
def test_no_bytes_crash_the_import(changes: list[tuple[int, bytes]], end: int) -> None:
    data = bytearray(VALID)
    for at, replaced in changes:
        data[at : at + len(replaced)] = replaced
    with TemporaryDirectory() as folder:
        _import_whole(Path(folder), bytes(data[:end]))


def test_the_bytes_that_are_changed_make_a_picture_unchanged(tmp_path: Path) -> None:
    assert _import_whole(tmp_path, VALID) == 1


def _import_whole(folder: Path, data: bytes) -> int:
    """How many pictures came of a file with these bytes; there is one, or at least one word why there is none."""
    (folder / "in/A").mkdir(parents=True)
    (folder / "in/A/x").write_bytes(data)
    plan = plan_import(folder / "in", Pseudonyms(b"s" * 32), ImportOptions(any_modality=True, allow_burned_in=True))
    result = run_import(plan, folder / "out")
    write_dropped_tags(plan.tags, folder / "tags.csv")
    assert all(problem.rule in DICOM_RULES for problem in result.problems)
    assert result.written or result.problems
    for image in result.written:
        with Image.open(folder / "out" / image.target) as picture:
            picture.load()
    return len(result.written)
