"""The page as the tests of the page use it: drawn films, a browser page with what a user does to it, DICOM files."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr.bundle import Bundle, Preprocessing
from cxr.local_baseline.images.preprocess import load_image
from cxr.local_baseline.tensorflow_setup import load
from patience import BROWSER_MS

CONTRACT = Preprocessing(96, 96, 1)
CLASSES = ("NORMAL", "PNEUMONIA")
#: What the status line says when all files are read.
OVER = re.compile(r"scored|read here|look like|damaged|empty|threshold|pixels|Stopped|could not be loaded")
#: What is on the film: its height, its width, its values.
FILM = """() => {
    const film = document.getElementById("film");
    const pixels = film.getContext("2d").getImageData(0, 0, film.width, film.height);
    return [film.height, film.width, Array.from(pixels.data)];
}"""


def film(number: int, size: tuple[int, int] = (220, 180)) -> np.ndarray:
    """A grey picture, uint8 [h, w]: two dark fields in a bright frame, and in those of odd numbers a bright spot."""
    rng = np.random.default_rng(number)
    height, width = size
    y, x = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    left, right, middle = rng.normal((0.3, 0.7, 0.42), 0.02)
    lungs = sum(np.exp(-(((x - at) / 0.14) ** 2 + ((y - middle) / 0.28) ** 2)) for at in (left, right))
    spot = (number % 2) * 70 * np.exp(-(((x - right) / 0.07) ** 2 + ((y - 0.5) / 0.07) ** 2))
    picture = 120 + 60 * y - 110 * lungs + spot + rng.normal(0, 6, size) + rng.normal(0, 8)
    return np.clip(np.rint(picture * rng.uniform(0.8, 1.2)), 0, 255).astype(np.uint8)


def shown(picture: np.ndarray) -> np.ndarray:
    """What the contract makes of a picture."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return load_image(stream.getvalue(), CONTRACT)


class Reader:
    """A page that is open, and what a user does with it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.set_default_timeout(BROWSER_MS)
        self.problems: list[str] = []
        self.asked: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda line: self.problems.append(line.text) if line.type == "error" else None)
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, address: str) -> None:
        """Go to the page, and wait until it takes images."""
        self.page.goto(address)
        self.page.locator("html[data-state=ready]").wait_for(state="attached")

    def give(self, *paths: Path) -> str:
        """Choose files; the status line when all of them are read."""
        self.page.set_input_files("#files", [str(path) for path in paths])
        self.page.locator("#status", has_text=OVER).wait_for()
        return str(self.page.inner_text("#status"))

    def probability(self, label: str) -> float:
        """What the panel says, of the class."""
        text = self.page.locator(".score", has_text=label).locator("dd").inner_text()
        return float(text.removesuffix(" %")) / 100

    def csv(self) -> list[dict[str, str]]:
        """What the download holds."""
        with self.page.expect_download() as started:
            self.page.click("#download")
        text = Path(started.value.path()).read_text(encoding="utf-8-sig")
        return list(csv.DictReader(io.StringIO(text)))


def film_pixels(reader: Reader) -> np.ndarray:
    """What is on the film now, uint8 [h, w, 4]."""
    height, width, data = reader.page.evaluate(FILM)
    return np.array(data, np.uint8).reshape(height, width, 4)


def keras_probability(bundle: Bundle, path: Path) -> float:
    """Of the positive class, by Keras from Python's pixels."""
    model = load().keras.models.load_model(bundle.model_path)
    pixels = load_image(path, bundle.info.preprocessing)[None].astype(np.float32)
    return float(np.ravel(model(pixels, training=False))[-1])


def save_dicom(picture: np.ndarray, path: Path) -> None:
    """Write a grey picture, uint8 [h, w], as a DICOM file, inverted (MONOCHROME1). Skips where there is no pydicom."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = pydicom.Dataset()
    dataset.file_meta = meta
    dataset.Rows, dataset.Columns = picture.shape
    dataset.SamplesPerPixel, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 8, 8, 7
    dataset.PixelRepresentation, dataset.PhotometricInterpretation = 0, "MONOCHROME1"
    dataset.WindowCenter, dataset.WindowWidth = 128, 256
    dataset.PixelData = (255 - picture).tobytes()
    dataset.save_as(path, enforce_file_format=True)
