"""The report as a real Chromium opens it: no error, no request, a threshold explorer that the keyboard moves, and
colours for light, dark and print. A screenshot stays in artefacts/screenshots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from patience import BROWSER_MS

SCREENSHOTS = Path(__file__).resolve().parents[2] / "artefacts" / "screenshots"


class Opened:
    """The report in a page of its own; `asked` are the URLs that it asked for beside itself."""

    def __init__(self, browser: Any, report: Path, scheme: str = "light", **context: Any) -> None:
        self.context = browser.new_context(
            color_scheme=scheme, **({"viewport": {"width": 1280, "height": 900}} | context)
        )
        self.context.set_default_timeout(BROWSER_MS)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.asked: list[str] = []
        own = report.resolve().as_uri()
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda line: self.problems.append(f"{line.type}: {line.text}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(own)
        self.asked = [url for url in self.asked if url != own and not url.startswith("data:")]

    def text(self, name: str) -> str:
        """What the explorer shows under `name`."""
        return str(self.page.text_content(f"#explorer-{name}"))

    def share(self, name: str) -> float:
        """The explorer's percentage under `name`, in 0..1."""
        return float(self.text(name).removesuffix(" %")) / 100


@pytest.fixture
def opened(browser: Any, comparison: Any) -> Iterator[Opened]:
    made = Opened(browser, comparison.report_path)
    yield made
    assert made.problems == []
    made.context.close()


def test_it_opens_without_an_error_and_asks_nobody_for_anything(opened):
    assert opened.asked == []
    assert opened.page.is_visible("text=Research use, not a medical device")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    opened.page.screenshot(path=SCREENSHOTS / "comparison-report.png", full_page=True)


def test_what_it_is_not_stays_in_sight_wherever_one_reads(opened):
    opened.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    box = opened.page.locator(".bar .badge").bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 900


def test_the_explorer_starts_at_the_models_own_threshold(opened, comparison):
    assert not opened.page.is_visible("#explorer-off")
    for number, row in enumerate(comparison.models):
        opened.page.select_option("#explorer-model", str(number))
        assert opened.share("sensitivity") == pytest.approx(row.metrics["sensitivity"].value, abs=6e-4)
        assert opened.share("specificity") == pytest.approx(row.metrics["specificity"].value, abs=6e-4)
        # The default prevalence is the test's own: the predictive values are the table's, but for its rounding.
        assert opened.share("ppv") == pytest.approx(row.metrics["ppv"].value, abs=2e-3)
        matrix = row.confusion
        assert [int(opened.text(name)) for name in ("cleared", "alarms", "missed", "found")] == matrix.ravel().tolist()


def test_the_slider_is_moved_by_the_keyboard_and_all_figures_follow(opened, comparison):
    page = opened.page
    page.focus("#explorer-threshold")
    assert "its own" in opened.text("value")
    page.keyboard.press("Home")
    assert (opened.share("sensitivity"), opened.share("specificity")) == (1, 0)
    assert opened.text("value").startswith("0.0000")
    seen = []
    for _ in range(12):
        for _ in range(25):
            page.keyboard.press("ArrowRight")
        seen.append((opened.share("sensitivity"), opened.share("specificity")))
    assert seen == sorted(seen, key=lambda pair: (-pair[0], pair[1]))
    assert len(set(seen)) > 3
    spoken = page.get_attribute("#explorer-threshold", "aria-valuetext")
    assert f"sensitivity {opened.text('sensitivity')}" in spoken
    page.keyboard.press("End")
    assert opened.share("sensitivity") <= seen[-1][0]
    page.click("#explorer-reset")
    assert "its own" in opened.text("value")


def test_a_rarer_disease_lowers_the_predictive_value_of_a_call(opened, comparison):
    row = comparison.models[2]
    opened.page.select_option("#explorer-model", "2")
    opened.page.fill("#explorer-prevalence", "5")
    found, alarms = row.metrics["sensitivity"].value, 1 - row.metrics["specificity"].value
    assert opened.share("ppv") == pytest.approx(0.05 * found / (0.05 * found + 0.95 * alarms), abs=6e-4)
    opened.page.fill("#explorer-prevalence", "")
    assert opened.text("ppv") == "–"
    assert opened.page.get_attribute("#explorer-prevalence", "aria-invalid") == "true"


def test_it_is_light_and_dark_as_the_reader_likes(browser, comparison, tmp_path):
    brightness = {}
    for scheme in ("light", "dark"):
        opened = Opened(browser, comparison.report_path, scheme)
        shot = tmp_path / f"{scheme}.png"
        opened.page.screenshot(path=shot)
        brightness[scheme] = float(np.asarray(Image.open(shot).convert("L"), dtype=float).mean())
        assert opened.problems == []
        opened.context.close()
    assert brightness["light"] > 200
    assert brightness["dark"] < 70


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 390, 768, 1024, 1280])
@pytest.mark.parametrize("which", ["comparison", "three_classes"])
def test_nothing_is_wider_than_the_screen_and_every_section_can_be_reached(browser, request, which, width):
    opened = Opened(browser, request.getfixturevalue(which).report_path, viewport={"width": width, "height": 800})
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    links = page.locator(".bar nav a")
    for number in range(links.count()):
        box = links.nth(number).bounding_box()
        assert box is not None
        assert 0 <= box["x"] < box["x"] + box["width"] <= width
    links.last.click()
    badge, heading = (page.locator(each).bounding_box() for each in (".bar .badge", "#provenance h2"))
    assert 0 <= badge["y"] < badge["y"] + badge["height"] <= heading["y"] < 800
    assert opened.problems == []
    opened.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_three_classes_open_without_an_error_and_without_an_explorer(browser, three_classes, scheme):
    opened = Opened(browser, three_classes.report_path, scheme)
    page = opened.page
    assert (opened.problems, opened.asked) == ([], [])
    assert page.locator("#explorer-panel").count() == 0
    assert page.locator("#classes tbody").count() == 4
    cut = "[...document.querySelectorAll('.matrix th')].filter(cell => cell.scrollWidth > cell.clientWidth + 1).length"
    assert page.evaluate(cut) == 0
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"three-classes-{scheme}.png", full_page=True)
    opened.context.close()


def test_without_scripts_only_the_explorer_is_missing_and_it_says_so(browser, comparison):
    opened = Opened(browser, comparison.report_path, java_script_enabled=False)
    assert opened.page.is_visible("text=This part needs JavaScript")
    assert not opened.page.is_visible("#explorer-panel")
    assert opened.page.is_visible("#curves svg >> nth=0")
    opened.context.close()


def test_a_script_that_is_not_the_reports_own_does_not_run(browser, comparison, tmp_path):
    page = comparison.report_path.read_text(encoding="utf-8")
    changed = tmp_path / "changed.html"
    changed.write_text(page.replace("</main>", "<script>document.title = 'taken over'</script></main>"))
    opened = Opened(browser, changed)
    assert opened.page.title() != "taken over"
    assert any("Content Security Policy" in problem for problem in opened.problems)
    opened.context.close()


def test_it_prints_as_paper_without_the_explorers_button(browser, comparison, tmp_path):
    opened = Opened(browser, comparison.report_path)
    opened.page.emulate_media(media="print")
    assert not opened.page.is_visible("#explorer-reset")
    opened.page.pdf(path=tmp_path / "report.pdf", format="A4", print_background=True)
    assert (tmp_path / "report.pdf").stat().st_size > 20_000
    opened.context.close()
