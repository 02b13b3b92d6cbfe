"""What the page says of an image, in a real Chromium: Keras's probability, the heat map, or why there is no score."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_reader import CLASSES, Reader, film, film_pixels, keras_probability, save_dicom
from PIL import Image

from cxr.bundle import Bundle, Calibration, read_bundle
from cxr.local_baseline.exports.making import make_exports
from cxr.local_baseline.exports.plan import ExportRequest, plan_exports
from cxr.local_baseline.exports.registry import parse_formats
from cxr.local_baseline.judging.calibration import calibrated
from cxr.webapp.build import PageRequest, build_page
from cxr.webapp.serve import serving


def test_an_image_gets_kerass_probability_and_the_bundles_decision(
    reader: Reader, page_bundle: Bundle, films: list[Path]
) -> None:
    status = reader.give(films[1])
    wanted = keras_probability(page_bundle, films[1])
    label = CLASSES[wanted >= 0.4]
    assert f"{label}. The probability of PNEUMONIA" in status
    assert reader.page.locator(".decision strong").inner_text() == label
    assert reader.probability("PNEUMONIA") == pytest.approx(wanted, abs=1e-3)
    assert reader.probability("PNEUMONIA") + reader.probability("NORMAL") == pytest.approx(1, abs=1e-3)
    assert reader.page.get_by_text("Research use, not a medical device.").first.is_visible()


def test_many_images_make_a_table_and_a_csv(reader: Reader, page_bundle: Bundle, films: list[Path]) -> None:
    assert reader.give(*films) == "4 images scored."
    rows = reader.csv()
    assert [row["file"] for row in rows] == [path.name for path in films]
    for row, path in zip(rows, films, strict=True):
        assert float(row["p_PNEUMONIA"]) == pytest.approx(keras_probability(page_bundle, path), abs=1e-3)
        assert float(row["p_NORMAL"]) + float(row["p_PNEUMONIA"]) == pytest.approx(1, abs=1e-5)
        assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [row["training_image"] for row in rows] == ["yes", "no", "no", "no"]
    reader.page.get_by_role("button", name=f"Show {films[2].name}").click()
    reader.page.locator("#film-caption", has_text=films[2].name).wait_for()
    reader.page.click("#clear")
    assert not reader.page.locator("#several").is_visible()


def test_a_training_image_is_said_to_be_one(reader: Reader, films: list[Path]) -> None:
    reader.give(films[0])
    assert "among the model's training images" in reader.page.inner_text("#result")


def test_the_heat_map_lies_over_the_image_at_the_sliders_opacity(reader: Reader, films: list[Path]) -> None:
    reader.give(films[1])
    reader.page.select_option("#heat-class", label=max(CLASSES, key=reader.probability))
    reader.page.fill("#heat-opacity", "0")
    plain = film_pixels(reader).astype(int)
    assert np.abs(plain[..., 0] - np.asarray(Image.open(films[1])).astype(int)).max() <= 1
    reader.page.fill("#heat-opacity", "100")
    hot = film_pixels(reader).astype(int)
    warmth = (hot[..., 0] - hot[..., 2]) - (plain[..., 0] - plain[..., 2])
    assert warmth.max() > 100
    assert warmth.min() < 40  # it marks places, not all of the image
    assert reader.page.inner_text("#heat-value") == "100 %"


def test_what_is_no_chest_xray_gets_no_score(reader: Reader, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(tmp_path / "noise.png")
    assert "does not look like a chest X-ray" in reader.give(tmp_path / "noise.png")
    assert reader.page.locator(".score").count() == 0
    assert reader.page.locator(".decision strong").inner_text() == "Not scored"


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def test_files_that_cannot_be_read_say_why_and_stop_nobody(reader: Reader, films: list[Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut.jpeg"
    cut.write_bytes(films[1].read_bytes()[:300])
    (tmp_path / "words.txt").write_text("not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "huge.png").write_bytes(png_header(40_000, 30_000))
    bad = [cut, *(tmp_path / name for name in ("words.txt", "empty.png", "huge.png"))]
    assert reader.give(*bad, films[1]) == "1 images scored, 4 not scored."
    notes = {row["file"]: row["note"] for row in reader.csv()}
    assert "damaged" in notes["cut.jpeg"]
    assert "not an image" in notes["words.txt"]
    assert "empty" in notes["empty.png"]
    assert "40,000 x 30,000" in notes["huge.png"]


def test_a_dicom_file_is_read(reader: Reader, page_bundle: Bundle, tmp_path: Path) -> None:
    picture = film(1)
    save_dicom(picture, tmp_path / "film.dcm")
    reader.give(tmp_path / "film.dcm")
    plain = tmp_path / "film.png"
    Image.fromarray(picture).save(plain)
    assert reader.probability("PNEUMONIA") == pytest.approx(keras_probability(page_bundle, plain), abs=5e-3)


def test_a_page_without_check_and_hashes_says_so_and_calibrates_what_the_model_does_not(
    browser: Any, page_bundle: Bundle, page_folder: Path, films: list[Path], tmp_path: Path
) -> None:
    export = read_bundle(page_folder.parent / "exports" / "tfjs-float16")
    cold = Calibration("temperature", 0.2, "smallest cross-entropy", "validation", 40, 0.7, 0.6)
    uncalibrated = Bundle(export.folder, replace(export.info, calibration=cold))
    page = build_page(PageRequest(uncalibrated, page_bundle), tmp_path / "page")
    context = browser.new_context()
    reader = Reader(context.new_page())
    with serving(page.folder) as server:
        reader.open(server.url)
        words = reader.page.inner_text("#unchecked")
        reader.give(films[1])
        shown = reader.probability("PNEUMONIA")
        assert reader.csv()[0]["training_image"] == ""
    context.close()
    assert "does not check whether an image is a chest X-ray. It cannot tell training images" in words
    raw = keras_probability(page_bundle, films[1])
    wanted = float(calibrated(np.array([[1 - raw, raw]]), cold)[0, 1])
    assert abs(wanted - raw) > 0.02
    assert shown == pytest.approx(wanted, abs=5e-3)


def test_fifty_images_in_a_row_are_read_and_leave_no_tensor_behind(
    browser: Any, page_address: str, page_bundle: Bundle, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number:02}.jpeg" for number in range(50)]
    for number, path in enumerate(paths):
        Image.fromarray(film(number)).save(path)
    context = browser.new_context()
    reader = Reader(context.new_page())
    reader.open(f"{page_address}?debug")
    reader.give(paths[0])
    alive = reader.page.inner_text("#tensors")
    assert re.fullmatch(r"[1-9]\d* tensors in memory\.", alive)
    reader.page.click("#clear")
    assert reader.give(*paths) == "50 images scored."
    assert reader.page.inner_text("#tensors") == alive
    rows = reader.csv()
    context.close()
    wanted = [keras_probability(page_bundle, path) for path in paths[::10]]
    assert [float(row["p_PNEUMONIA"]) for row in rows[::10]] == pytest.approx(wanted, abs=1e-3)


def test_the_real_xray_reads_as_in_keras(
    browser: Any, page_bundle: Bundle, xrays: Path, static_files: Path, tmp_path: Path
) -> None:
    paths = sorted((xrays / "test" / "PNEUMONIA").iterdir())[:3]
    # The net and its check know drawn films only: a page without the check scores real ones.
    exports = tmp_path / "exports"
    request = ExportRequest(page_bundle, parse_formats("tfjs-float16"), exports, tmp_path / "cache")
    make_exports(request, plan_exports(request), lambda done, total, note: None)
    build_page(PageRequest(read_bundle(exports / "tfjs-float16"), page_bundle), tmp_path / "page")
    context = browser.new_context()
    reader = Reader(context.new_page())
    with serving(tmp_path / "page") as server:
        reader.open(server.url)
        assert reader.give(*paths) == "3 images scored."
        rows = reader.csv()
    context.close()
    for row, path in zip(rows, paths, strict=True):
        assert float(row["p_PNEUMONIA"]) == pytest.approx(keras_probability(page_bundle, path), abs=1e-3)
