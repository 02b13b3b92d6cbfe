"""Files that are no golden image: every kind of PNG, DICOM as the import has it, and what is refused."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit

from cxr.bundle import Preprocessing
from cxr.golden import FOLDER
from cxr.local_baseline.images.preprocess import load_image
from cxr.manifests.dicom import PixelError, render
from cxr.manifests.dicom.header import read_dataset

Run = Callable[..., Any]
DIGITAL_X_RAY = "1.2.840.10008.5.1.4.1.1.1.1"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
#: Adam7: first column, first row, column step, row step.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(values: np.ndarray, depth: int, colour_type: int, *, interlaced: bool = False) -> bytes:
    """A PNG of samples [height, width, samples], without row filters: also the kinds that Pillow does not write."""
    height, width = values.shape[:2]
    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    data = b""
    for left, top, step_x, step_y in passes:
        for row in values[top::step_y, left::step_x]:
            data += b"\0" + packed(row, depth) if row.size else b""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    palette = chunk(b"PLTE", bytes(range(3, 3 + 3 * 16))) if colour_type == 3 else b""
    body = chunk(b"IHDR", header) + palette + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def packed(row: np.ndarray, depth: int) -> bytes:
    if depth == 16:
        return row.astype(">u2").tobytes()
    bits = (row.ravel()[:, None] >> np.arange(depth)[::-1]) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


@pytest.mark.parametrize("interlaced", [False, True], ids=["rows", "interlaced"])
def test_every_kind_of_png_is_decoded_as_pillow_does(interlaced: bool, in_node: Run, tmp_path: Path) -> None:
    kinds = [(depth, colour) for colour in SAMPLES for depth in (1, 2, 4, 8, 16)]
    kinds = [(d, c) for d, c in kinds if d >= 8 or c in (0, 3)]
    kinds.remove((16, 3))
    rng = np.random.default_rng(1)
    cases, expected = [], []
    for depth, colour in kinds:
        height, width = rng.integers(1, 20, 2)
        most = 16 if colour == 3 else 1 << depth
        values = rng.integers(0, min(most, 1 << depth), (height, width, SAMPLES[colour]))
        path = tmp_path / f"{depth}-{colour}.png"
        path.write_bytes(png(values, depth, colour, interlaced=interlaced))
        for channels in (1, 3):
            contract = Preprocessing(int(height), int(width), channels)  # type: ignore[arg-type]
            cases.append({"file": str(path), "contract": contract})
            expected.append(load_image(path, contract))
    for case, answer, pixels in zip(cases, in_node(cases), expected, strict=True):
        assert (answer["pixels"] == pixels).all(), case["file"]


def test_every_row_filter_is_undone(in_node: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    height, width = 40, 33
    rows = rng.integers(0, 256, (height, width * 3), dtype=np.uint8)
    data = b"".join(bytes([number % 5]) + row.tobytes() for number, row in enumerate(rows))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path = tmp_path / "filters.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))
    contract = Preprocessing(height, width, 3)
    (answer,) = in_node([{"file": str(path), "contract": contract}])
    assert (answer["pixels"] == load_image(path, contract)).all()


# ---- DICOM


def dicom(pixels: np.ndarray, *, bits: int = 12, syntax: str = ExplicitVRLittleEndian, **tags: Any) -> Dataset:
    """A radiograph with these pixels (rows x columns, or x 3) of `bits` bits; `tags` are set last."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = DIGITAL_X_RAY
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3.4"
    made.file_meta.TransferSyntaxUID = UID(syntax)
    made.Modality, made.PatientName = "DX", "Nobody^Ann"
    nested = Dataset()
    nested.ReferencedSOPInstanceUID = "1.2.3"
    made.ReferencedStudySequence = [nested]
    allocated, signed = 8 if bits <= 8 else 16, int(pixels.min()) < 0
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = allocated, bits, bits - 1, int(signed)
    raw = pixels.astype(f"<{'i' if signed else 'u'}{allocated // 8}").tobytes()
    made.PixelData = raw + b"\0" * (len(raw) % 2)
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made


def lut(entries: list[int], *, first: int = 0, bits: int = 16) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.ModalityLUTType = "US"
    item.add_new("LUTData", "US", entries)
    return item


def ramp(low: int, high: int, size: tuple[int, int] = (21, 25)) -> np.ndarray:
    return np.linspace(low, high, size[0] * size[1]).round().astype(np.int32).reshape(size)


COLOURS = np.random.default_rng(0).integers(0, 256, (20, 24, 3))
DICOM: dict[str, Callable[[], Dataset]] = {
    "8-bits": lambda: dicom(ramp(0, 255), bits=8),
    "12-bits": lambda: dicom(ramp(0, 4095)),
    "16-bits": lambda: dicom(ramp(0, 65535), bits=16),
    "implicit": lambda: dicom(ramp(10, 3000), syntax=ImplicitVRLittleEndian, WindowCenter=1000, WindowWidth=900),
    "implicit-signed": lambda: dicom(ramp(-900, 900), syntax=ImplicitVRLittleEndian, PixelPaddingValue=-900),
    "inverted": lambda: dicom(ramp(0, 4095), PhotometricInterpretation="MONOCHROME1"),
    "signed": lambda: dicom(ramp(-2048, 2047), RescaleSlope=2, RescaleIntercept=-7),
    "window": lambda: dicom(ramp(0, 4095), WindowCenter=[1000, 5], WindowWidth=[201, 6]),
    "window-rescaled-inverted": lambda: dicom(
        ramp(0, 4095),
        **{"WindowCenter": 1500.5, "WindowWidth": 800, "RescaleSlope": 0.5, "RescaleIntercept": 3},
        PhotometricInterpretation="MONOCHROME1",
    ),
    "window-exact": lambda: dicom(ramp(0, 4095), WindowCenter=1500, WindowWidth=800, VOILUTFunction="LINEAR_EXACT"),
    "window-sigmoid": lambda: dicom(ramp(0, 4095), WindowCenter=1500, WindowWidth=800, VOILUTFunction="SIGMOID"),
    "window-of-one": lambda: dicom(ramp(0, 4095), WindowCenter=1500, WindowWidth=1),
    "window-of-no-width": lambda: dicom(ramp(0, 4095), WindowCenter=1000, WindowWidth=0),
    "window-that-shows-nothing": lambda: dicom(ramp(0, 4095), WindowCenter=90000, WindowWidth=10),
    "window-of-an-unknown-function": lambda: dicom(
        ramp(0, 4095), WindowCenter=1000, WindowWidth=100, VOILUTFunction="WAVY"
    ),
    "empty-window": lambda: dicom(ramp(0, 4095), WindowCenter="", WindowWidth=""),
    "padding": lambda: dicom(np.where(ramp(0, 40) < 3, 4000, ramp(1000, 2000)), PixelPaddingValue=4000),
    "modality-and-voi-lut": lambda: dicom(
        np.array([[0, 1], [2, 3]]),
        bits=8,
        ModalityLUTSequence=[lut([3, 2, 1, 0])],
        VOILUTSequence=[lut([0, 100, 50, 200])],
        WindowCenter=1,
        WindowWidth=2,
    ),
    "voi-lut-implicit": lambda: dicom(
        ramp(0, 50),
        bits=8,
        syntax=ImplicitVRLittleEndian,
        VOILUTSequence=[lut(list(range(0, 400, 10)), first=5, bits=10)],
    ),
    "rgb": lambda: dicom(COLOURS, bits=8),
    "rgb-by-plane": lambda: dicom(
        COLOURS, bits=8, PlanarConfiguration=1, PixelData=COLOURS.transpose(2, 0, 1).astype(np.uint8).tobytes()
    ),
    "flat": lambda: dicom(np.full((4, 4), 7)),
    "cut-off": lambda: dicom(ramp(0, 4095), PixelData=b"\0\0" * 30),
    "high-bit": lambda: dicom(ramp(0, 4095) << 4, bits=16, BitsStored=12, HighBit=15),
    "slope-0": lambda: dicom(ramp(0, 4095), RescaleSlope=0, RescaleIntercept=5),
}


def put(path: Path, made: Dataset) -> Path:
    made.save_as(path, enforce_file_format=True)
    return path


def test_dicom_is_shown_as_the_import_shows_it(in_node: Run, tmp_path: Path) -> None:
    cases, expected = [], []
    for name, make in DICOM.items():
        made = make()
        path = put(tmp_path / name, made)
        cases.append({"file": str(path), "contract": Preprocessing(made.Rows, made.Columns, 1)})
        try:
            rendered = render(read_dataset(path, pixels=True))
            expected.append((rendered.pixels, [rule for rule, _ in rendered.notes]))
        except PixelError as error:
            expected.append((None, error.rule))
    refusals = {"flat-image": "flat", "broken-pixels": "damaged", "unsupported-pixels": "unsupported-pixels"}
    for case, answer, (pixels, words) in zip(cases, in_node(cases), expected, strict=True):
        name = Path(case["file"]).name
        if pixels is None:
            assert answer == {"error": refusals[words]}, name
        else:
            assert (answer["pixels"][..., 0] == pixels).all(), name
            assert answer["notes"] == words, name


def test_a_dicom_with_a_jpeg_inside_is_decoded_by_the_browser(verify: Run, tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(ramp(0, 255, (64, 72)).astype(np.uint8)).save(stream, "JPEG", quality=95)
    made = dicom(ramp(0, 255, (64, 72)), bits=8, syntax=JPEGBaseline8Bit, WindowCenter=120, WindowWidth=100)
    made.PixelData = encapsulate([stream.getvalue()])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    path = put(tmp_path / "jpeg.dcm", made)
    expected = render(read_dataset(path, pixels=True)).pixels
    (image,) = verify([path], Preprocessing(64, 72, 1))["images"]
    assert image["kind"] == "DICOM"
    assert (image["pixels"][..., 0] == expected).all()


def test_files_that_cannot_be_read_are_refused_with_the_reason(verify: Run, tmp_path: Path) -> None:
    jpeg = (FOLDER / "grey-odd.jpeg").read_bytes()
    whole_png = (FOLDER / "grey.png").read_bytes()
    webp = (FOLDER / "lossless.webp").read_bytes()
    huge = whole_png[:16] + struct.pack(">II", 20_000, 20_000) + whole_png[24:]
    made = dicom(ramp(0, 255), bits=8, syntax=JPEG2000Lossless)
    made.PixelData = encapsulate([b"\0\0"])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    jpeg_2000 = put(tmp_path / "jpeg2000.dcm", made).read_bytes()
    frames = put(tmp_path / "frames.dcm", dicom(ramp(0, 255), bits=8, NumberOfFrames=2)).read_bytes()
    files = {
        "empty": (b"", "empty", "empty"),
        "text": (b"no image at all, only words\n" * 20, "not-an-image", "not an image"),
        "header": (jpeg[:40], "damaged", "JPEG"),
        "half.jpeg": (jpeg[: len(jpeg) // 2], "damaged", "JPEG"),
        "half.png": (whole_png[: len(whole_png) // 2], "damaged", "PNG"),
        "broken.png": (whole_png[:200] + bytes(60) + whole_png[260:], "damaged", "PNG"),
        "broken.webp": (webp[:30] + bytes(len(webp) - 30), "damaged", "WebP"),
        "huge.png": (huge, "too-large", "20,000 x 20,000"),
        "scan.tiff": (b"II*\0" + bytes(100), "unreadable-kind", "TIFF"),
        "report.pdf": (b"%PDF-1.7\n" + bytes(100), "unreadable-kind", "PDF"),
        "jpeg2000.dcm": (jpeg_2000, "transfer-syntax", "JPEG 2000 Lossless"),
        "frames.dcm": (frames, "several-frames", "2 frames"),
        "half.dcm": (frames[:400], "damaged", "DICOM"),
    }
    paths = []
    for name, (data, _, _) in files.items():
        (tmp_path / name).write_bytes(data)
        paths.append(tmp_path / name)
    told = verify(paths, Preprocessing(16, 16, 1))["images"]
    for image, (name, (_, code, words)) in zip(told, files.items(), strict=True):
        assert image.get("error", {}).get("code") == code, (name, image)
        assert words in image["error"]["message"], name


def test_gif_and_bmp_are_taken_as_the_browser_decodes_them(verify: Run, tmp_path: Path) -> None:
    grey = np.random.default_rng(3).integers(0, 256, (30, 40), dtype=np.uint8)
    for suffix in ("gif", "bmp"):
        Image.fromarray(grey).save(tmp_path / f"x.{suffix}")
    contract = Preprocessing(12, 20, 1)
    paths = [tmp_path / "x.gif", tmp_path / "x.bmp"]
    for image, path in zip(verify(paths, contract)["images"], paths, strict=True):
        assert (image["pixels"] == load_image(path, contract)).all()


def test_an_image_larger_than_a_strip_of_the_canvas_is_read_back_whole(verify: Run, tmp_path: Path) -> None:
    y, x = np.mgrid[:2300, :2200]
    colours = np.dstack([x % 256, y % 256, np.where(y > 2000, (x + y) % 256, x % 256)]).astype(np.uint8)
    colours[:1900] = colours[:1900, :, :1]  # grey at first, coloured in a later strip
    Image.fromarray(colours).save(tmp_path / "large.bmp")
    contract = Preprocessing(230, 220, 3)
    (image,) = verify([tmp_path / "large.bmp"], contract)["images"]
    assert (image["pixels"] == load_image(tmp_path / "large.bmp", contract)).all()


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_a_grey_jpeg_of_many_strips_is_decoded_as_pillow_does(verify: Run, tmp_path: Path, progressive: bool) -> None:
    values = np.random.default_rng(5).integers(0, 256, (70, 101), dtype=np.uint8)
    path = tmp_path / "grey.jpeg"
    Image.fromarray(values).resize((1_003, 1_001)).save(path, quality=85, progressive=progressive)
    contract = Preprocessing(1_001, 1_003, 1)
    assert (verify([path], contract)["images"][0]["pixels"] == load_image(path, contract)).all()
