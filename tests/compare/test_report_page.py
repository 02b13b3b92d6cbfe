"""The report's page: one file, well formed, in words first, with nothing from outside and nobody's markup in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from cxr.compare.comparison import compare
from cxr.compare.report import render_report

MAX_REPORT_BYTES = 3_000_000
VOID = {"meta", "link", "br", "img", "input"}
#: Bands, intervals and explorers of the tests' small comparisons need no more.
FEW_DRAWS = 20


@pytest.fixture(scope="module")
def page(comparison) -> str:
    return comparison.report_path.read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Every tag's attributes, and the tags that were not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)


@pytest.fixture(scope="module")
def tags(page) -> Tags:
    parsed = Tags()
    parsed.feed(page)
    return parsed


def test_the_report_is_one_file_that_asks_the_network_for_nothing(page, tags):
    assert len(page.encode()) < MAX_REPORT_BYTES
    for tag, name, value in tags.attributes:
        if name in {"src", "href", "xlink:href", "action", "srcset"}:
            assert (value or "").startswith(("#", "data:")), (tag, name, value)
    assert not re.search(r"@import|url\((?!#)", page)
    assert "default-src 'none'" in page


def test_the_report_is_well_formed_and_its_ids_are_unique(tags):
    assert tags.unbalanced == []
    assert tags.open == []
    ids = [value for _, name, value in tags.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    labelled = {value for _, name, value in tags.attributes if name == "for"}
    assert labelled <= set(ids)
    referred = {value[1:] for _, name, value in tags.attributes if name in {"href", "xlink:href"} and value[0] == "#"}
    assert referred <= set(ids)


def test_the_report_begins_with_what_was_found_in_words(page, comparison):
    lead = re.search(r'<p class="lead">(.*?)</p>', page)[1]
    assert lead.startswith("On 60 test images of 20 patients, the area under the ROC curve is ")
    for row in comparison.models:
        assert f"for {row.name}" in lead
    assert page.index('class="lead"') < page.index("<table")


def test_the_report_says_what_it_is_not(page):
    assert "Research use, not a medical device" in page[: page.index("<table")]
    assert "automl edge was trained by the emulator&#39;s stand-in, not by a cloud&#39;s AutoML service" in page


def test_the_report_shows_plots_matrices_data_and_provenance(world, page, comparison):
    # ROC, precision and recall, four intervals, a difference, three calibrations, two burdens, the explorer.
    assert page.count('role="img"') == 13
    assert page.count('class="matrix"') == 3
    assert world.manifest.hash in page
    for bundle in world.bundles:
        assert bundle.hash in page
    assert "cxr compare a b c --manifest &lt;manifest&gt;.csv" in page
    assert "etiology+number" in page


def test_plots_follow_the_pages_colours(page):
    figures = "".join(re.findall(r'<svg viewBox[^>]*role="img".*?</svg>', page, re.DOTALL))
    assert "var(--model-0)" in figures
    assert "var(--ink)" in figures
    assert re.findall(r"#[0-9a-f]{6}\b", figures) == []
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_names_from_files_are_escaped(judged, world, output, tmp_path):
    evil = judged.keras_bundle(tmp_path / "evil", world.manifest.hash, name='<script>alert("$x$")</script>')
    made = compare(
        [evil],
        world.manifest,
        output=tmp_path / "o",
        cache_dir=output / "cache",
        on_progress=judged.quiet,
        draws=FEW_DRAWS,
    )
    page = render_report(made)
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<script") == 2
    (data,) = re.findall(r'<script type="application/json" id="explorer-data">(.*?)</script>', page, re.DOTALL)
    assert json.loads(data)["models"][0]["name"] == evil.info.name


def test_only_the_reports_own_script_may_run(page):
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in policy or f"script-src 'sha256-{digest}'" in policy
    assert "unsafe-eval" not in policy
    assert re.search(r"script-src[^;]*unsafe-inline", policy) is None


def test_the_verdict_on_every_model_stands_before_the_table(page, comparison):
    before = page[: page.index("<table")]
    assert comparison.against is not None
    for model in comparison.against.models:
        assert f"{model.name}: the difference in AUC to {comparison.against.called}" in before
        assert model.verdict.value in before


def test_a_model_that_clears_no_floor_is_marked_and_one_that_does_is_not(page, comparison):
    marked = {row.name for row in comparison.models if row.floors_not_cleared}
    for row in comparison.models:
        said = f"{row.name} does not clear"
        assert (said in page) == (row.name in marked)


def test_mistakes_are_shown_with_small_pictures_and_heat_maps_where_the_layers_are_known(page, comparison):
    keras, _, edge = comparison.mistakes
    assert keras.shown
    wrong = comparison.models[0].confusion
    assert keras.count == wrong.sum() - wrong.trace()
    assert all(mistake.picture for model in comparison.mistakes for mistake in model.shown)
    assert all(mistake.heat_map for mistake in keras.shown)
    assert not any(mistake.heat_map for mistake in edge.shown)
    assert edge.note.startswith("no heat maps")
    assert sum(len(model.shown) for model in comparison.mistakes) <= 12


def test_the_report_can_be_made_without_any_image(judged, world, output, tmp_path):
    made = compare(
        [world.keras],
        world.manifest,
        output=tmp_path / "o",
        cache_dir=output / "cache",
        on_progress=judged.quiet,
        draws=FEW_DRAWS,
        pictures=False,
    )
    page = made.report_path.read_text(encoding="utf-8")
    assert "data:image/" not in page
    assert made.mistakes[0].shown[0].path in page
