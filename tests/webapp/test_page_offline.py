"""The page without a network, without WebAssembly, and across its versions, in a real Chromium."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_reader import Reader, film, keras_probability, save_dicom
from PIL import Image

from cxr.bundle import Bundle
from cxr.webapp.serve import serving
from patience import BROWSER_MS


def test_after_loading_nothing_is_asked_of_the_network_and_never_of_others(
    browser: Any, page_address: str, films: list[Path]
) -> None:
    context = browser.new_context()
    reader = Reader(context.new_page())
    reader.open(page_address)
    reader.page.locator("#offline", has_text="offline").wait_for()
    before = len(reader.asked)
    reader.give(*films)
    later = [url for url in reader.asked[before:] if not url.startswith("blob:")]
    context.close()
    assert later == []
    assert all(url.startswith(page_address) for url in reader.asked)
    assert reader.problems == []


def test_the_page_opens_again_without_a_network(
    browser: Any, page_folder: Path, page_bundle: Bundle, films: list[Path]
) -> None:
    context = browser.new_context()
    reader = Reader(context.new_page())
    with serving(page_folder) as server:
        reader.open(server.url)
        reader.page.locator("#offline", has_text="offline").wait_for()
        address = server.url
    # The server has gone, and the network with it.
    context.set_offline(True)
    reader.open(address)
    reader.give(films[1])
    assert reader.probability("PNEUMONIA") == pytest.approx(keras_probability(page_bundle, films[1]), abs=1e-3)
    context.close()


def test_where_no_service_worker_takes_the_page_all_but_dicom_is_read_without_a_network(
    browser: Any, page_address: str, films: list[Path], tmp_path: Path
) -> None:
    context = browser.new_context(service_workers="block")
    reader = Reader(context.new_page())
    reader.open(page_address)
    before = len(reader.asked)
    context.set_offline(True)
    for kind in ("png", "webp", "gif", "bmp"):
        Image.fromarray(film(1)).save(tmp_path / f"film.{kind}")
    Image.fromarray(film(1).astype(np.uint16) * 257).save(tmp_path / "film16.png")
    images = [films[1], *sorted(tmp_path.iterdir())]
    assert reader.give(*images) == "6 images scored."
    assert [url for url in reader.asked[before:] if not url.startswith("blob:")] == []
    save_dicom(film(1), tmp_path / "film.dcm")
    reader.page.click("#clear")
    assert "The reader of DICOM files could not be loaded: open this page again with a network." in reader.give(
        tmp_path / "film.dcm"
    )
    context.set_offline(False)
    reader.open(page_address)
    assert "threshold" in reader.give(tmp_path / "film.dcm")
    context.close()


def test_dicom_is_loaded_only_with_the_first_such_file(
    browser: Any, page_address: str, films: list[Path], tmp_path: Path
) -> None:
    context = browser.new_context(service_workers="block")
    reader = Reader(context.new_page())
    reader.open(page_address)
    reader.give(*films)
    assert not any("/dicom-" in url for url in reader.asked)
    save_dicom(film(1), tmp_path / "film.dcm")
    reader.page.click("#clear")
    reader.give(tmp_path / "film.dcm")
    assert any("/dicom-" in url for url in reader.asked)
    context.close()


def test_without_webassembly_plain_javascript_reads_the_image(
    browser: Any, page_address: str, page_bundle: Bundle, films: list[Path]
) -> None:
    context = browser.new_context(service_workers="block")
    context.add_init_script("delete globalThis.WebAssembly")
    reader = Reader(context.new_page())
    reader.open(page_address)
    assert "cpu" in reader.page.inner_text("#runtime")
    reader.give(films[1])
    assert reader.probability("PNEUMONIA") == pytest.approx(keras_probability(page_bundle, films[1]), abs=1e-3)
    context.close()


def test_a_page_without_its_model_says_so(browser: Any, page_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(page_folder, tmp_path / "page")
    next((tmp_path / "page").glob("assets/model-*/model.json")).unlink()
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.set_default_timeout(BROWSER_MS)
    with serving(tmp_path / "page") as server:
        page.goto(server.url)
        page.locator("html[data-state=failed]").wait_for(state="attached")
        assert "The page cannot start: The model cannot be loaded: model.json: 404." in page.inner_text("#status")
        assert page.locator("#choose").is_disabled()
    context.close()
