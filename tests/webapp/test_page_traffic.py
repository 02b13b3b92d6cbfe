"""What a visit of the page takes: every file once over the wire, and no more canvases than are seen."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from page_reader import Reader, film, keras_probability
from PIL import Image

from cxr.bundle import Bundle
from cxr.webapp.serve import LOOPBACK, PageHandler

#: Remembers the size of every canvas that was ever drawn on.
WATCH_CANVASES = """(() => {
    window.drawn = new Map();
    for (const kind of [HTMLCanvasElement, OffscreenCanvas]) {
        const made = kind.prototype.getContext;
        kind.prototype.getContext = function (...rest) {
            drawn.set(this, null);
            return made.apply(this, rest);
        };
    }
})()"""
#: The addresses of all that the service worker has kept.
KEPT = """async () => {
    const found = await Promise.all((await caches.keys()).map((name) => caches.open(name)));
    return (await Promise.all(found.map((cache) => cache.keys()))).flat().map(({ url }) => url);
}"""
#: Thumbnails and heat maps are smaller.
LARGE = "() => [...drawn.keys()].filter((one) => one.width > 128 || one.height > 128).length"


class Counted(PageHandler):
    """As `cxr web serve` answers; `sent` counts the bodies by their paths."""

    sent: ClassVar[Counter[str]]

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if code == HTTPStatus.OK:
            self.sent[self.path] += 1


@pytest.fixture
def counted(page_folder: Path) -> Iterator[tuple[str, Counter[str]]]:
    """The page's address on a server that counts."""
    sent: Counter[str] = Counter()
    handler = type("Handler", (Counted,), {"root": page_folder.resolve(), "sent": sent})
    server = ThreadingHTTPServer((LOOPBACK, 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}/", sent
    server.shutdown()
    server.server_close()
    thread.join()


def kept_list(page_folder: Path) -> dict[str, list[str]]:
    """What the page's service worker was told."""
    line = (page_folder / "service-worker.js").read_text(encoding="utf-8").partition("\n")[0]
    told: dict[str, list[str]] = json.loads(line.removeprefix("self.CXR_KEPT=").rstrip(";"))
    return told


def test_a_first_visit_takes_every_file_once_and_none_that_this_machine_does_not_need(
    browser: Any, counted: tuple[str, Counter[str]], page_folder: Path, films: list[Path]
) -> None:
    address, sent = counted
    context = browser.new_context()
    reader = Reader(context.new_page())
    reader.open(address)
    reader.page.locator("#offline", has_text="offline").wait_for()
    reader.give(films[1])
    kept = reader.page.evaluate(KEPT)
    context.close()
    assert {path: count for path, count in sent.items() if count > 1} == {}
    told = kept_list(page_folder)
    needed = {f"/{name}" for name in set(told["files"]) - set(told["on_demand"])}
    # The page itself has two addresses.
    assert set(sent) == needed | {"/", "/service-worker.js"}
    assert {url.removeprefix(address) for url in kept} == {name[1:] for name in needed}
    assert any("webgl" in (page_folder / name).read_text("utf-8") for name in told["on_demand"] if name.endswith(".js"))


def test_all_that_the_first_image_needs_is_asked_for_by_the_first_file(
    browser: Any, page_address: str, page_folder: Path, films: list[Path]
) -> None:
    index = (page_folder / "index.html").read_text("utf-8")
    named = set(re.findall(r'(?:href|src)="([\w./-]+)"', index))
    context = browser.new_context(service_workers="block")
    reader = Reader(context.new_page())
    reader.open(page_address)
    reader.give(films[1])
    context.close()
    asked = {url.removeprefix(page_address) for url in reader.asked if not url.startswith("blob:")}
    assert {"page.json", "icon.svg"} | {name for name in asked if name.endswith((".wasm", ".bin"))} <= named
    assert asked - {"", "icon.svg#mark"} <= named
    assert all((page_folder / name).is_file() for name in named)
    assert reader.problems == []


def test_an_engine_that_a_machine_needs_is_kept_when_it_has_been_used(
    browser: Any, counted: tuple[str, Counter[str]], page_folder: Path, page_bundle: Bundle, films: list[Path]
) -> None:
    address, sent = counted
    context = browser.new_context()
    context.add_init_script("delete globalThis.WebAssembly")
    reader = Reader(context.new_page())
    reader.open(address)
    reader.page.locator("#offline", has_text="offline").wait_for()
    assert {path: count for path, count in sent.items() if count > 1} == {}
    kept = {url.removeprefix(address) for url in reader.page.evaluate(KEPT)}
    (engine,) = kept & set(kept_list(page_folder)["on_demand"])
    assert f"/{engine}" in sent
    context.set_offline(True)
    reader.open(address)
    assert "cpu" in reader.page.inner_text("#runtime")
    reader.give(films[1])
    assert reader.probability("PNEUMONIA") == pytest.approx(keras_probability(page_bundle, films[1]), abs=1e-3)
    context.close()


def test_many_images_are_read_with_one_large_canvas(browser: Any, page_address: str, tmp_path: Path) -> None:
    grey, coloured = film(1, (700, 900)), film(3, (300, 200))
    for number in range(8):
        Image.fromarray(grey).save(tmp_path / f"{number}.jpeg")
    Image.fromarray(np.stack([coloured] * 3, axis=-1)).save(tmp_path / "8.jpeg", subsampling=0)
    context = browser.new_context()
    context.add_init_script(WATCH_CANVASES)
    reader = Reader(context.new_page())
    reader.open(page_address)
    paths = sorted(tmp_path.glob("*.jpeg"))
    assert reader.give(*paths[:-1]) == "8 images scored."
    assert reader.page.evaluate(LARGE) == 1  # the film
    sizes = reader.page.evaluate("() => [...document.querySelectorAll('.thumb canvas')].map((one) => one.width)")
    assert sizes == [88] * 8
    # Colours go through a canvas, which is how the count is known to count.
    reader.give(paths[-1])
    assert reader.page.evaluate(LARGE) == 2
    context.close()
    assert reader.problems == []
