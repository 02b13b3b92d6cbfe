"""The page's looks, in a real Chromium: axe, screens from phone to desktop, screenshots."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from page_reader import Reader

ROOT = Path(__file__).resolve().parents[2]
ARTEFACTS = Path(os.environ.get("CXR_ARTEFACTS", ROOT / "artefacts")) / "screenshots"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(scheme: str, browser: Any, page_address: str, films: list[Path]) -> None:
    script = ROOT / "webapp" / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        pytest.skip("axe-core is not installed: make web")
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    reader = Reader(context.new_page())
    reader.open(page_address)
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
    name: str, scheme: str, width: int, height: int, browser: Any, page_address: str, films: list[Path]
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
    reader = Reader(context.new_page())
    reader.open(page_address)
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
