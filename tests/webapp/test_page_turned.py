"""Photographs that are stored turned (EXIF), in a real Chromium: read as stored, and turned when asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from page_reader import Reader, film, film_pixels, keras_probability
from PIL import ExifTags, Image, ImageOps

from cxr.bundle import Bundle

#: EXIF: show it turned by a quarter to the right, as a telephone held upright writes.
TURNED = 6


def save_turned(picture: np.ndarray, path: Path, orientation: int = TURNED) -> None:
    """Write a picture with the note that viewers shall turn it."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(picture).save(path, exif=exif, quality=92, lossless=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_a_photograph_that_is_stored_turned_is_refused_with_that_reason(
    kind: str, reader: Reader, tmp_path: Path
) -> None:
    save_turned(np.rot90(film(1)), tmp_path / f"photo.{kind}")
    status = reader.give(tmp_path / f"photo.{kind}")
    assert "is stored turned (EXIF)" in status
    assert "look like a chest X-ray" in status
    assert reader.page.locator(".score").count() == 0
    assert reader.page.inner_text("#result").count("EXIF") == 1  # said once
    assert "is stored turned (EXIF)" in reader.csv()[0]["note"]


def test_an_upright_picture_with_a_note_to_turn_it_is_read_as_python_reads_it_and_says_so(
    reader: Reader, page_bundle: Bundle, tmp_path: Path
) -> None:
    save_turned(film(1), tmp_path / "film.jpeg")
    reader.give(tmp_path / "film.jpeg")
    wanted = keras_probability(page_bundle, tmp_path / "film.jpeg")
    assert reader.probability("PNEUMONIA") == pytest.approx(wanted, abs=1e-3)
    assert "asks to be shown turned (EXIF)" in reader.page.inner_text("#result")
    assert "asks to be shown turned (EXIF)" in reader.csv()[0]["note"]


def test_a_turned_photograph_is_read_upright_when_that_is_asked_for(
    reader: Reader, page_bundle: Bundle, tmp_path: Path
) -> None:
    save_turned(np.rot90(film(1)), tmp_path / "photo.webp")
    Image.fromarray(film(1)).save(tmp_path / "upright.png")
    assert "is stored turned (EXIF)" in reader.give(tmp_path / "photo.webp")
    reader.page.get_by_role("button", name="Turn it and read it again").click()
    reader.page.locator("#status", has_text="threshold").wait_for()
    wanted = keras_probability(page_bundle, tmp_path / "upright.png")
    assert reader.probability("PNEUMONIA") == pytest.approx(wanted, abs=1e-3)
    assert reader.page.locator("#turn").count() == 0
    first, second = reader.csv()
    assert (first["decision"], first["p_PNEUMONIA"]) == ("", "")
    assert "Turned first as the file asks (EXIF)" in second["note"]
    assert first["sha256"] == second["sha256"]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turning_is_what_viewers_do(orientation: int, reader: Reader, tmp_path: Path) -> None:
    save_turned(film(1, (60, 90)), tmp_path / "photo.webp", orientation)
    reader.give(tmp_path / "photo.webp")
    reader.page.click("#turn")
    reader.page.locator("#table-body tr").nth(1).wait_for()
    with Image.open(tmp_path / "photo.webp") as stored:
        wanted = np.asarray(ImageOps.exif_transpose(stored).convert("L")).astype(int)
    reader.page.get_by_role("button", name="Show photo.webp").nth(1).click()
    reader.page.locator("#film-caption", has_text=f"{wanted.shape[1]} × {wanted.shape[0]}").wait_for()
    if reader.page.locator("#heat-opacity").is_visible():
        reader.page.fill("#heat-opacity", "0")
    found = film_pixels(reader)[..., 0].astype(int)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1
