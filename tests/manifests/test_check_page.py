"""The page of `cxr data check --html`: everything in one file, nothing from outside, nothing that runs."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from manifest_rows import manifest_of, row
from PIL import Image

from cxr.manifests.check import check
from cxr.manifests.check.looks import look
from cxr.manifests.manifest import Manifest

pytest.importorskip("jinja2", reason="the page needs the extra 'data'")

from cxr.manifests.check.page import render_page, write_page

NASTY = "<script>alert(1)</script>&\"'"


class _Page(HTMLParser):
    """Tags with their attributes and the text that is seen."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Manifest]:
    """Draws 60 images (splits and labels in turn) and gives their manifest; `change` may alter the rows."""

    def made(change: Callable[[list[dict[str, object]]], object] = lambda rows: None) -> Manifest:
        rows: list[dict[str, object]] = []
        for number in range(60):
            split, label = (
                ("train", "train", "validation", "test")[number % 4],
                ("NORMAL", "PNEUMONIA")[number // 4 % 2],
            )
            path = f"{split}/{label}/{number:02}.png"
            target = tmp_path / "images" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (30 + number, 40), dtype=np.uint8)
            Image.fromarray(pixels).save(target)
            size = target.stat().st_size
            rows.append(row(path, label, split=split, width=40, height=30 + number, size=size, format="PNG"))
        change(rows)
        return replace(manifest_of(rows, near_duplicates=True), location=tmp_path / "manifest.csv")

    return made


def _render(manifest: Manifest, *, looked: bool = True, seed: int = 7) -> str:
    looks = look(manifest) if looked else None
    return render_page(manifest, check(manifest, looks), looks, seed=seed)


def test_the_page_needs_nothing_from_outside_and_runs_nothing(make: Callable[..., Manifest]) -> None:
    text = _render(make())
    page = _Page(text)
    assert page.all("script") == []
    assert not re.search(r"https?://|url\(|@import|src=[\"'](?!data:)", text)
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "default-src 'none'" in text
    assert page.all("html") == [{"lang": "en"}]
    assert "width=device-width" in text


def test_the_page_shows_counts_findings_samples_charts_and_the_probe(make: Callable[..., Manifest]) -> None:
    manifest = make()
    page = _Page(_render(manifest))
    seen = " ".join(" ".join(page.text).split())
    assert "Research use, not a medical device" in seen
    for heading in ("Images by split and label", "Findings", "Shortcut probe", "Sizes and intensities", "Samples"):
        assert heading in seen
    assert "32x32 thumbnail" in seen
    assert manifest.hash in seen
    # Six splits and labels with six or more images each, but for those of 7 and 8.
    assert len(page.all("img")) == 36
    assert len([one for one in page.all("svg") if one.get("role") == "img"]) == 3


def test_every_picture_says_what_it_is_and_is_a_small_grey_jpeg_without_tags(make: Callable[..., Manifest]) -> None:
    images = _Page(_render(make())).all("img")
    for image in images:
        assert re.fullmatch(r"(NORMAL|PNEUMONIA), (train|validation|test): \S+\.png", image["alt"] or "")
        kind, _, data = (image["src"] or "").partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert (picture.mode, picture.format) == ("L", "JPEG")
            assert max(picture.size) <= 224
            assert not picture.getexif()


def test_the_same_seed_draws_the_same_samples(make: Callable[..., Manifest]) -> None:
    manifest = make()
    assert _render(manifest, seed=3) == _render(manifest, seed=3)
    assert _render(manifest, seed=3) != _render(manifest, seed=4)


def test_duplicates_are_shown_side_by_side_the_worst_first(make: Callable[..., Manifest]) -> None:
    def change(rows: list[dict[str, object]]) -> None:
        for places, key in (((0, 1), "same:1111111111111111"), ((8, 3), "near:2222222222222222")):
            for place in places:
                rows[place].update(duplicate_group=key)
        for place, key in ((12, "near:3333333333333333"), (16, "near:3333333333333333")):
            rows[place].update(duplicate_group=key)

    text = _render(make(change))
    assert "3 groups" in text
    torn, split, same = (text.index(words) for words in ("two labels</span>", "two splits</span>", "Equal bytes"))
    assert torn < split < same
    first = text[text.index('<article class="group">') : torn]
    assert "Near-duplicates" in first
    assert text.count('<article class="group">') == 3


def test_names_and_labels_are_text_and_never_markup(make: Callable[..., Manifest]) -> None:
    def change(rows: list[dict[str, object]]) -> None:
        for entry in rows:
            if entry["label"] == "PNEUMONIA":
                entry["label"] = NASTY
        rows[0].update(path=f"train/{NASTY.replace('/', '')}.png", duplicate_group="same:1")

    page = _Page(_render(make(change)))
    assert page.all("script") == []
    assert NASTY in " ".join(page.text)


def test_without_a_look_there_is_no_picture_and_the_page_says_so(make: Callable[..., Manifest]) -> None:
    page = _Page(_render(make(), looked=False))
    assert page.all("img") == []
    assert "the images were not looked at" in " ".join(page.text)


def test_an_accepted_finding_is_shown_as_accepted(make: Callable[..., Manifest]) -> None:
    manifest = make()
    assert '<span class="tag">accepted</span>' not in _render(manifest)
    accepted = check(manifest, accept=["validation-split", "vertex-few-images"])
    text = render_page(manifest, accepted, None)
    assert text.count('<span class="tag">warning</span> <span class="tag">accepted</span>') == len(accepted.accepted)
    assert len(accepted.accepted) > 0
    assert f"({len(accepted.accepted)} accepted)</h1>" in text


def test_a_file_that_is_gone_has_a_place_that_says_so(make: Callable[..., Manifest], tmp_path: Path) -> None:
    manifest = make()
    looks = look(manifest)
    for path in (tmp_path / "images").rglob("*.png"):
        path.unlink()
    page = _Page(render_page(manifest, check(manifest, looks), looks))
    assert page.all("img") == []
    assert " ".join(page.text).count("cannot be shown") == 36


def test_images_of_one_size_and_unknown_sizes_are_said_in_words(make: Callable[..., Manifest]) -> None:
    text = _render(make(lambda rows: [entry.update(width=0, height=0, size=5000) for entry in rows]), looked=False)
    assert "File size: all images have the same: 5 kB" in text
    assert "Image size: not known of these images" in text


def test_many_labels_stay_a_page(make: Callable[..., Manifest]) -> None:
    def change(rows: list[dict[str, object]]) -> None:
        for number, entry in enumerate(rows):
            entry["label"] = f"L{number:02}"

    text = _render(make(change))
    assert "The first 12 of 60 labels." in text
    assert "The 6 most frequent of 60 labels." in text


def test_the_file_is_written_whole(make: Callable[..., Manifest], tmp_path: Path) -> None:
    manifest = make()
    looks = look(manifest)
    write_page(manifest, check(manifest, looks), looks, tmp_path / "deep" / "page.html")
    assert (tmp_path / "deep" / "page.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["page.html"]
