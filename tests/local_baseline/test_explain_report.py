"""Maps over originals, and the page: right place, right size, nothing from the outside."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr.bundle import Bundle, ModelFormat, Origin, Preprocessing
from cxr.errors import InputError, UsageError
from cxr.local_baseline.explain.explaining import Explainer, check_explainable, check_target, open_explainer
from cxr.local_baseline.explain.nouns import Case, Explanation
from cxr.local_baseline.explain.overlay import original_pixels, overlay, to_original
from cxr.local_baseline.explain.report import prepare, write_report
from cxr.local_baseline.images.preprocess import load_image


def encoded(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def explainer(small_bundle: Bundle) -> Explainer:
    return open_explainer(small_bundle)


def case(small_bundle: Bundle, path: str = "test/PNEUMONIA/a.png", called: str = "NORMAL", seed: int = 1) -> Case:
    pixels = np.random.default_rng(seed).integers(0, 255, (90, 130)).astype(np.uint8)
    return Case(path, encoded(pixels), "PNEUMONIA", {"NORMAL": 0.75, "PNEUMONIA": 0.25}, called)


@pytest.mark.parametrize("size", [(120, 200), (200, 120), (90, 90)], ids=str)
@pytest.mark.parametrize("aspect", ["squash", "center-crop"])
def test_a_map_comes_back_to_where_the_image_was(aspect: str, size: tuple[int, int]) -> None:
    height, width = size
    pixels = np.zeros(size, np.uint8)
    top, left = height // 2 - 25, width // 2 + 5
    pixels[top : top + 14, left : left + 14] = 255
    contract = Preprocessing(64, 64, 1, aspect=aspect)  # type: ignore[arg-type]
    seen = load_image(encoded(pixels), contract)[..., 0].astype(np.float32) / 255
    back = to_original(seen, contract, height, width)
    assert back.shape == size
    inside = back[top - 4 : top + 18, left - 4 : left + 18].sum() / back.sum()
    assert inside > 0.97
    y, x = (np.average(np.arange(n), weights=back.sum(axis=axis)) for n, axis in ((height, 1), (width, 0)))
    assert abs(y - (top + 6.5)) < 1
    assert abs(x - (left + 6.5)) < 1


def test_what_a_crop_left_out_has_no_heat() -> None:
    back = to_original(np.ones((4, 4), np.float32), Preprocessing(64, 64, 1, aspect="center-crop"), 100, 160)
    assert back[:, 30:130].min() == 1
    assert back[:, :30].max() == back[:, 130:].max() == 0


def test_the_black_around_a_padded_image_is_cut_off() -> None:
    contract = Preprocessing(64, 64, 1, aspect="pad")  # type: ignore[arg-type]
    heat = np.zeros((64, 64), np.float32)
    heat[16:48] = 1  # an image twice as wide as high lies in these rows
    back = to_original(heat, contract, 100, 200)
    assert back.shape == (100, 200)
    assert back[2:-2].min() == 1
    heat[:] = np.linspace(0, 1, 64, dtype=np.float32)[:, None]
    slope = to_original(heat, contract, 100, 200)[:, 100]
    assert slope[0] == pytest.approx(16 / 63, abs=0.02)
    assert slope[-1] == pytest.approx(47 / 63, abs=0.02)


def test_an_overlay_keeps_the_original_where_there_is_no_heat() -> None:
    image = np.random.default_rng(1).integers(0, 255, (80, 100)).astype(np.uint8)
    heat = np.zeros((80, 100), np.float32)
    heat[10:30, 20:40] = 1
    picture = np.asarray(overlay(image, heat, "evidence"))
    assert picture.shape[0] > 80
    assert picture.shape[1] > 100
    covered = picture[:80, :100]
    cold = heat == 0
    assert (covered[cold] == image[cold][:, None]).all()
    assert np.abs(covered[~cold].astype(int) - image[~cold][:, None]).max() > 50


def test_an_explanation_is_of_the_originals_size_and_of_the_class_asked_for(
    explainer: Explainer, small_bundle: Bundle
) -> None:
    one = explainer.explain(case(small_bundle), "NORMAL")
    other = explainer.explain(case(small_bundle), "PNEUMONIA")
    assert one.heat.shape == (90, 130)
    assert 0 <= one.heat.min() <= one.heat.max() <= 1
    assert one.log_odds == pytest.approx(-other.log_odds, abs=1e-4)
    assert [grid.layer for grid in one.grids] == [f"block{number}_conv" for number in range(1, 6)]
    assert one.peak > 0 or other.peak > 0


class Page(HTMLParser):
    """What a browser would fetch and show."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone_and_escapes_names(explainer: Explainer, small_bundle: Bundle, tmp_path: Path) -> None:
    name = 'x/<script>alert("1")</script>&.png'
    explanations = [explainer.explain(case(small_bundle, path), "NORMAL") for path in ("test/a.png", name)]
    report = write_report(explainer, explanations, tmp_path)
    text = report.page.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert "script" not in page.tags
    assert name in page.text
    assert all(source.startswith("data:") for source in page.sources)
    assert re.search(r"https?://", text) is None
    assert "Research use, not a medical device" in page.text
    assert "prefers-color-scheme: dark" in text
    assert page.text.count("mistake") >= 2
    assert page.tags.count("img") == 2 * (2 + 5)
    data = json.loads((tmp_path / "explain.json").read_text())
    assert (data["method"], data["layer"], data["schema_version"]) == ("Grad-CAM", "block5_conv", 1)
    assert [one["path"] for one in data["images"]] == ["test/a.png", name]
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    assert {one["overlay"] for one in data["images"]} <= files
    assert len(files) == 2 * (1 + 5)
    assert all(re.fullmatch(r"[A-Za-z0-9._/-]+", path) for path in files)


def test_an_image_without_evidence_says_so(explainer: Explainer, small_bundle: Bundle, tmp_path: Path) -> None:
    one = Explanation(case(small_bundle), "NORMAL", -3.0, 0.0, np.zeros((90, 130), np.float32), ())
    report = write_report(explainer, [one], tmp_path)
    assert "No place of this image speaks for NORMAL" in report.page.read_text()


def test_chosen_layers_are_shown_and_wrong_ones_listed(small_bundle: Bundle) -> None:
    (grid,) = open_explainer(small_bundle, ["block2_pool"]).explain(case(small_bundle), "NORMAL").grids
    assert (grid.layer, len(grid.channels), grid.of) == ("block2_pool", 32, 64)
    assert grid.picture.shape[1] == 8 * (76 + 3) - 3  # maps of 38x38, twice as large
    assert open_explainer(small_bundle, []).explain(case(small_bundle), "NORMAL").grids == ()
    with pytest.raises(UsageError, match=r"no layer 'block9'.*block1_conv.*block5_pool"):
        open_explainer(small_bundle, ["block9"])


@pytest.mark.parametrize(
    ("form", "origin", "words"),
    [
        (ModelFormat.SAVED_MODEL, Origin.CUSTOM_JOB, "cxr baseline train --recipe cnn5"),
        (ModelFormat.TFLITE, Origin.AUTOML, "a service does not give its model's layers away"),
        (ModelFormat.PREDICTIONS, Origin.AUTOML, "a service does not give"),
    ],
)
def test_a_bundle_without_layers_says_what_to_do(
    small_bundle: Bundle, form: ModelFormat, origin: Origin, words: str
) -> None:
    other = replace(small_bundle, info=replace(small_bundle.info, format=form, origin=origin))
    with pytest.raises(InputError) as error:
        check_explainable(other)
    assert "in the format keras only" in error.value.message
    assert words in (error.value.hint or "")


def test_a_class_that_there_is_not_is_refused(small_bundle: Bundle) -> None:
    check_target(small_bundle, "NORMAL")
    with pytest.raises(UsageError, match="its classes are: NORMAL, PNEUMONIA"):
        check_target(small_bundle, "COVID")


def test_a_place_that_is_a_file_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="is not a folder"):
        prepare(tmp_path / "taken")


def test_sixteen_bit_and_colour_originals_are_shown_in_grey() -> None:
    deep = np.full((20, 30), 65535 // 2, np.uint16)
    assert abs(int(original_pixels(encoded(deep), "deep")[0, 0]) - 127) <= 1
    colour = np.zeros((20, 30, 3), np.uint8)
    assert original_pixels(encoded(colour), "colour").shape == (20, 30)
