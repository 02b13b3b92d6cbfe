"""The page in a real Chromium, as its users meet it."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import shutil
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr.bundle import (
    Bundle,
    BundleInfo,
    Calibration,
    ModelFormat,
    Origin,
    Preprocessing,
    Threshold,
    read_bundle,
    write_bundle,
)
from cxr.local_baseline.exports.making import make_exports
from cxr.local_baseline.exports.plan import ExportRequest, plan_exports
from cxr.local_baseline.exports.registry import parse_formats
from cxr.local_baseline.images.preprocess import load_image
from cxr.local_baseline.judging.calibration import calibrated
from cxr.local_baseline.tensorflow_setup import load
from cxr.webapp.build import PageRequest, build_page
from cxr.webapp.gate import fit_gate
from cxr.webapp.serve import PageHandler, serving

ROOT = Path(__file__).resolve().parents[2]
ARTEFACTS = Path(os.environ.get("CXR_ARTEFACTS", ROOT / "artefacts")) / "screenshots"
CONTRACT = Preprocessing(96, 96, 1)
CLASSES = ("NORMAL", "PNEUMONIA")
#: What the status line says when all files are read.
OVER = re.compile(r"scored|read here|look like|damaged|empty|threshold|pixels")
#: What is on the film: its height, its width, its values.
FILM = """() => {
    const film = document.getElementById("film");
    const pixels = film.getContext("2d").getImageData(0, 0, film.width, film.height);
    return [film.height, film.width, Array.from(pixels.data)];
}"""
FOCUSED = "() => document.activeElement.id || document.activeElement.getAttribute('aria-label') || ''"


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


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four films as JPEG files; the first is a training image."""
    folder = tmp_path_factory.mktemp("films")
    paths = [folder / f"film-{number}.jpeg" for number in range(4)]
    for number, path in enumerate(paths):
        Image.fromarray(film(number)).save(path, quality=92)
    return paths


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A net that ends in a global average, trained for a moment to tell films with a spot."""
    keras = load().keras
    keras.utils.set_random_seed(2)
    image = keras.Input((96, 96, 1))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    for filters in (8, 16, 16):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    model = keras.Model(image, keras.layers.Dense(1, activation="sigmoid", name="scores")(x), name="small")
    pixels = np.stack([shown(film(number)) for number in range(1_000, 1_096)]).astype(np.float32)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", jit_compile=False)
    model.fit(pixels, np.arange(96) % 2, epochs=12, verbose=0)
    folder = tmp_path_factory.mktemp("runs") / "small"
    folder.mkdir()
    model.save(folder / "model.keras")
    info = BundleInfo(
        name="small", origin=Origin.BASELINE, format=ModelFormat.KERAS, model_path="model.keras", classes=CLASSES,
        positive_class="PNEUMONIA", preprocessing=CONTRACT, threshold=Threshold(0.4, "max-youden", "validation"),
        manifest_hash="a" * 64, provenance={"recipe": "small", "parameters": model.count_params()},
    )  # fmt: skip
    return write_bundle(folder, info)


def shown(picture: np.ndarray) -> np.ndarray:
    """What the contract makes of a picture."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return load_image(stream.getvalue(), CONTRACT)


@pytest.fixture(scope="module")
def page_folder(
    bundle: Bundle, films: list[Path], static_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The page of that net."""
    folder = tmp_path_factory.mktemp("page")
    request = ExportRequest(bundle, parse_formats("tfjs-float16"), folder / "exports", folder / "cache")
    (export,) = make_exports(request, plan_exports(request), lambda done, total, note: None)
    assert export.bundle is not None
    gate = fit_gate(np.stack([shown(film(number)) for number in range(2_000, 2_600)]))
    assert gate is not None
    estimate = {"value": 0.97, "low": 0.95, "high": 0.99}
    evaluation = {
        "bundle": {"hash": bundle.hash}, "metrics": {"auc": estimate, "accuracy": estimate},
        "images": 700, "patients": 518, "split": "test",
    }  # fmt: skip
    known = [hashlib.sha256(films[0].read_bytes()).hexdigest(), "ff" * 32, "00" * 32]
    build_page(PageRequest(export.bundle, bundle, known, gate.to_json(), evaluation), folder / "page")
    return folder / "page"


@pytest.fixture(scope="module")
def address(page_folder: Path) -> Iterator[str]:
    """Where it is served."""
    with serving(page_folder) as server:
        yield server.url


class Reader:
    """A page that is open, and what a user does with it."""

    def __init__(self, page: Any) -> None:
        self.page = page
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


@pytest.fixture
def reader(browser: Any, address: str) -> Iterator[Reader]:
    """The page, open; at the end nothing may have gone wrong unseen."""
    context = browser.new_context()
    made = Reader(context.new_page())
    made.open(address)
    yield made
    context.close()
    assert made.problems == []


def keras_probability(bundle: Bundle, path: Path) -> float:
    """Of the positive class, by Keras from Python's pixels."""
    model = load().keras.models.load_model(bundle.model_path)
    pixels = load_image(path, bundle.info.preprocessing)[None].astype(np.float32)
    return float(np.ravel(model(pixels, training=False))[-1])


def test_an_image_gets_kerass_probability_and_the_bundles_decision(
    reader: Reader, bundle: Bundle, films: list[Path]
) -> None:
    status = reader.give(films[1])
    wanted = keras_probability(bundle, films[1])
    label = CLASSES[wanted >= 0.4]
    assert f"{label}. The probability of PNEUMONIA" in status
    assert reader.page.locator(".decision strong").inner_text() == label
    assert reader.probability("PNEUMONIA") == pytest.approx(wanted, abs=1e-3)
    assert reader.probability("PNEUMONIA") + reader.probability("NORMAL") == pytest.approx(1, abs=1e-3)
    assert reader.page.get_by_text("Research use, not a medical device.").first.is_visible()


def test_many_images_make_a_table_and_a_csv(reader: Reader, bundle: Bundle, films: list[Path]) -> None:
    assert reader.give(*films) == "4 images scored."
    rows = reader.csv()
    assert [row["file"] for row in rows] == [path.name for path in films]
    for row, path in zip(rows, films, strict=True):
        assert float(row["p_PNEUMONIA"]) == pytest.approx(keras_probability(bundle, path), abs=1e-3)
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


def film_pixels(reader: Reader) -> np.ndarray:
    """What is on the film now, uint8 [h, w, 4]."""
    height, width, data = reader.page.evaluate(FILM)
    return np.array(data, np.uint8).reshape(height, width, 4)


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


def test_a_dicom_file_is_read(reader: Reader, bundle: Bundle, tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    picture = film(1)
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
    path = tmp_path / "film.dcm"
    dataset.save_as(path, enforce_file_format=True)
    reader.give(path)
    plain = tmp_path / "film.png"
    Image.fromarray(picture).save(plain)
    assert reader.probability("PNEUMONIA") == pytest.approx(keras_probability(bundle, plain), abs=5e-3)


def test_files_are_dropped_and_pasted(reader: Reader, films: list[Path]) -> None:
    for event, holder in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        code = """async ([name, bytes, event, holder]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
            const made = event === "drop"
                ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
            document.body.dispatchEvent(made);
        }"""
        name = f"{event}.jpeg"
        reader.page.evaluate(code, [name, list(films[2].read_bytes()), event, holder])
        reader.page.locator("#status", has_text=name).wait_for()
        reader.page.locator("#status", has_text="threshold").wait_for()


def test_the_keyboard_is_enough(reader: Reader, films: list[Path]) -> None:
    page = reader.page
    reader.give(*films)
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
        if seen[-1] == f"Show {films[3].name}":
            break
    assert {"open-about", "choose", "photograph", "heat-class", "heat-opacity", "download", "clear"} <= set(seen)
    page.keyboard.press("Enter")
    page.locator("#film-caption", has_text=films[3].name).wait_for()
    page.focus("#open-about")
    page.keyboard.press("Enter")
    assert page.locator("#about").is_visible()
    assert "0.9700 (95 % interval 0.9500 to 0.9900)" in page.inner_text("#about")
    page.keyboard.press("Escape")
    assert not page.locator("#about").is_visible()


def test_after_loading_nothing_is_asked_of_the_network_and_never_of_others(
    browser: Any, address: str, films: list[Path]
) -> None:
    context = browser.new_context()
    reader = Reader(context.new_page())
    reader.open(address)
    reader.page.locator("#offline", has_text="offline").wait_for()
    before = len(reader.asked)
    reader.give(*films)
    later = [url for url in reader.asked[before:] if not url.startswith("blob:")]
    context.close()
    assert later == []
    assert all(url.startswith(address) for url in reader.asked)
    assert reader.problems == []


def test_the_page_opens_again_without_a_network(
    browser: Any, page_folder: Path, bundle: Bundle, films: list[Path]
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
    assert reader.probability("PNEUMONIA") == pytest.approx(keras_probability(bundle, films[1]), abs=1e-3)
    context.close()


def test_without_webassembly_plain_javascript_reads_the_image(
    browser: Any, address: str, bundle: Bundle, films: list[Path]
) -> None:
    context = browser.new_context(service_workers="block")
    context.add_init_script("delete globalThis.WebAssembly")
    reader = Reader(context.new_page())
    reader.open(address)
    assert "cpu" in reader.page.inner_text("#runtime")
    reader.give(films[1])
    assert reader.probability("PNEUMONIA") == pytest.approx(keras_probability(bundle, films[1]), abs=1e-3)
    context.close()


def test_a_page_without_its_model_says_so(browser: Any, page_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(page_folder, tmp_path / "page")
    next((tmp_path / "page").glob("assets/model-*/model.json")).unlink()
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    with serving(tmp_path / "page") as server:
        page.goto(server.url)
        page.locator("html[data-state=failed]").wait_for(state="attached")
        assert "The page cannot start: The model cannot be loaded: model.json: 404." in page.inner_text("#status")
        assert page.locator("#choose").is_disabled()
    context.close()


class CleanUrls(PageHandler):
    """A host that sends /index.html to /, as many do."""

    def do_GET(self) -> None:  # noqa: N802
        if self.path.endswith("/index.html"):
            self.send_response(308)
            self.send_header("Location", self.path.removesuffix("index.html"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()


@pytest.fixture
def clean_urls(page_folder: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a copy of the page on such a host, and the copy."""
    copy = tmp_path / "page"
    shutil.copytree(page_folder, copy)
    handler = type("Handler", (CleanUrls,), {"root": copy.resolve()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}/", copy
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_second_visit_works_on_hosts_that_redirect_and_shows_the_page_of_now(
    browser: Any, clean_urls: tuple[str, Path]
) -> None:
    address, folder = clean_urls
    context = browser.new_context()
    reader = Reader(context.new_page())
    reader.open(address)
    reader.page.locator("#offline", has_text="offline").wait_for()
    reader.open(address)
    described = (folder / "page.json").read_text(encoding="utf-8")
    (folder / "page.json").write_text(described.replace('"name":"small"', '"name":"another"'), encoding="utf-8")
    reader.open(address)
    assert reader.page.inner_text("#model-name") == "another"
    context.close()
    assert reader.problems == []


def test_a_clear_while_images_are_read_clears_them_too(reader: Reader, films: list[Path]) -> None:
    page = reader.page
    page.set_input_files("#files", [str(path) for path in films * 10])
    page.locator("#table-body tr").nth(2).wait_for()
    page.evaluate("() => document.getElementById('clear').click()")
    page.wait_for_timeout(500)
    assert page.locator("#table-body tr").count() == 0
    assert page.inner_text("#status") == "Ready: small."
    assert not page.locator("#reading").is_visible()
    assert reader.give(films[1]).startswith(films[1].name)
    assert page.locator("#table-body tr").count() == 1


def test_a_page_without_check_and_hashes_says_so_and_calibrates_what_the_model_does_not(
    browser: Any, bundle: Bundle, page_folder: Path, films: list[Path], tmp_path: Path
) -> None:
    export = read_bundle(page_folder.parent / "exports" / "tfjs-float16")
    cold = Calibration("temperature", 0.2, "smallest cross-entropy", "validation", 40, 0.7, 0.6)
    uncalibrated = Bundle(export.folder, replace(export.info, calibration=cold))
    page = build_page(PageRequest(uncalibrated, bundle), tmp_path / "page")
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
    raw = keras_probability(bundle, films[1])
    wanted = float(calibrated(np.array([[1 - raw, raw]]), cold)[0, 1])
    assert abs(wanted - raw) > 0.02
    assert shown == pytest.approx(wanted, abs=5e-3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(scheme: str, browser: Any, address: str, films: list[Path]) -> None:
    script = ROOT / "webapp" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        pytest.skip("axe-core is not installed: make web")
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    reader = Reader(context.new_page())
    reader.open(address)
    reader.give(*films)
    for where in ("page", "about"):
        if where == "about":
            reader.page.click("#open-about")
        reader.page.evaluate(script.read_text(encoding="utf-8"))
        found = reader.page.evaluate("async () => (await axe.run()).violations")
        serious = [rule for rule in found if rule["impact"] in ("serious", "critical")]
        assert [(rule["id"], [node["target"] for node in rule["nodes"]]) for rule in serious] == []
    context.close()


@pytest.mark.parametrize(
    ("name", "scheme", "width", "height"),
    [("desktop", "light", 1280, 900), ("desktop-dark", "dark", 1280, 900), ("phone", "light", 360, 740)],
    ids=["desktop", "dark", "phone"],
)
def test_the_page_fits_its_screen(
    name: str, scheme: str, width: int, height: int, browser: Any, address: str, films: list[Path]
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
    reader = Reader(context.new_page())
    reader.open(address)
    reader.give(*films)
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    reader.page.screenshot(path=ARTEFACTS / f"page-{name}.png", full_page=True)
    assert reader.page.evaluate("() => document.documentElement.scrollWidth") <= width
    disclaimer = reader.page.locator(".disclaimer:not(.inside)")
    reader.page.mouse.wheel(0, 5_000)
    assert disclaimer.is_visible()
    box = disclaimer.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < height
    context.close()


def test_fifty_images_in_a_row_are_read(reader: Reader, bundle: Bundle, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:02}.jpeg" for number in range(50)]
    for number, path in enumerate(paths):
        Image.fromarray(film(number)).save(path)
    assert reader.give(*paths) == "50 images scored."
    rows = reader.csv()
    wanted = [keras_probability(bundle, path) for path in paths[::10]]
    assert [float(row["p_PNEUMONIA"]) for row in rows[::10]] == pytest.approx(wanted, abs=1e-3)


def test_the_real_xray_reads_as_in_keras(
    browser: Any, address: str, bundle: Bundle, xrays: Path, page_folder: Path, static_files: Path, tmp_path: Path
) -> None:
    paths = sorted((xrays / "test" / "PNEUMONIA").iterdir())[:3]
    described = replace(bundle.info, files=())
    assert described.preprocessing == CONTRACT
    # The net and its check know drawn films only: a page without the check scores real ones.
    exports = tmp_path / "exports"
    request = ExportRequest(bundle, parse_formats("tfjs-float16"), exports, tmp_path / "cache")
    make_exports(request, plan_exports(request), lambda done, total, note: None)
    build_page(PageRequest(read_bundle(exports / "tfjs-float16"), bundle), tmp_path / "page")
    context = browser.new_context()
    reader = Reader(context.new_page())
    with serving(tmp_path / "page") as server:
        reader.open(server.url)
        assert reader.give(*paths) == "3 images scored."
        rows = reader.csv()
    context.close()
    for row, path in zip(rows, paths, strict=True):
        assert float(row["p_PNEUMONIA"]) == pytest.approx(keras_probability(bundle, path), abs=1e-3)
