"""A visit to a page in a Chromium of its own, which has never seen it."""

from __future__ import annotations

import base64
import csv
import io
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.compare.parity.chromium import FLAGS
from cxr.webapp.browser import find_chromium
from page_peers.pages import Contestant
from page_peers.server import Traffic
from page_peers.subject import Pictures

WATCH = Path(__file__).with_name("watch.js")
SINGLES, LARGES = 5, 3
PATIENCE_MS, POLL_MS = 240_000, 20
#: A telephone's network: 20 Mbit/s down, 40 ms from question to answer.
NETWORK = {"offline": False, "latency": 40, "downloadThroughput": 20e6 / 8, "uploadThroughput": 20e6 / 8}
#: Whether a page that keeps its files for offline use is done with that: it would be at work beside the images.
KEPT = "document.getElementById('offline')?.textContent !== ''"

Launch = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds. `first`, `first_by_network`: from the navigation to the first probability, over loopback and over
    NETWORK. `row`: of each of many images, from handing them over to the last one shown. `small`, `large`: from an
    image's bytes to its probability, as the page tells; `large_shown` until it is shown."""

    first: float
    first_by_network: float
    row: float
    small: float
    large: float
    large_shown: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What needs one visit only. `first_bytes` leave the server before the first prediction, `kept_bytes` in all, with
    what is kept for offline use; `twice` are paths that were sent again for that. `engine` runs the model.
    `probabilities` are those of the positive class by the files' names."""

    first_bytes: int
    kept_bytes: int
    twice: tuple[str, ...]
    engine: str
    probabilities: Mapping[str, float]


@contextmanager
def browsers() -> Iterator[Launch]:
    """A function that starts a headless Chromium; those that still run are closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        yield lambda: driver.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))


def look(
    launch: Launch, page: Contestant, address: str, traffic: Traffic, pictures: Pictures, positive: str
) -> Findings:
    """The bytes, and what the page says of the images."""
    with _opened(launch, pictures.small[0], service_workers="block") as tab:
        traffic.reset()
        tab.goto(address)
        _first(tab)
        first_bytes = kept_bytes = traffic.sent
        _give(tab, [pictures.exact])
        _give(tab, pictures.small)
        engine = "wasm" if page.ours else str(tab.evaluate("() => window.engine"))
        probabilities = _csv(tab, positive) if page.ours else tab.evaluate("() => window.readings")
    twice: tuple[str, ...] = ()
    if page.ours:
        with _opened(launch, pictures.small[0]) as tab:
            traffic.reset()
            tab.goto(address)
            _wait(tab, KEPT)
            _first(tab)
            kept_bytes, asked = traffic.sent, list(traffic.asked)
        twice = tuple(sorted({path for path in asked if asked.count(path) > 1}))
    return Findings(first_bytes, kept_bytes, twice, engine, probabilities)


def measure(launch: Launch, address: str, pictures: Pictures) -> Times:
    """One round: two visits, each in a new browser."""
    with _opened(launch, pictures.small[0]) as tab:
        session = tab.context.new_cdp_session(tab)
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", NETWORK)
        tab.goto(address, timeout=PATIENCE_MS)
        by_network = _first(tab)
    with _opened(launch, pictures.small[0]) as tab:
        tab.goto(address)
        first = _first(tab)
        _wait(tab, KEPT)
        _give(tab, pictures.small[:SINGLES])  # what is compiled when it is hot is compiled now
        row = _give(tab, pictures.small) / len(pictures.small)
        small = [_told(tab, path)[0] for path in pictures.small[:SINGLES]]
        large = [_told(tab, pictures.large) for _ in range(LARGES + 1)][1:]
    medians = [statistics.median(values) for values in (small, *zip(*large, strict=True))]
    return Times(first, by_network, row, *medians)


@contextmanager
def _opened(launch: Launch, first: Path, **settings: Any) -> Iterator[Any]:
    browser = launch()
    try:
        tab = browser.new_context(**settings).new_page()
        image = base64.b64encode(first.read_bytes()).decode()
        tab.add_init_script(WATCH.read_text(encoding="utf-8").replace("%FIRST%", image))
        yield tab
    finally:
        browser.close()


def _first(tab: Any) -> float:
    _wait(tab, "seen.first !== null")
    return float(tab.evaluate("() => seen.first"))


def _wait(tab: Any, condition: str) -> None:
    tab.wait_for_function(f"() => seen.error !== null || ({condition})", timeout=PATIENCE_MS, polling=POLL_MS)
    if error := tab.evaluate("() => seen.error"):
        raise SystemExit(f"{tab.title()}: {error}")


def _give(tab: Any, paths: Sequence[Path]) -> float:
    """Hand over files; milliseconds until the page says that it is done with them."""
    tab.set_input_files("#files", [str(path) for path in paths])
    _wait(tab, "seen.ended !== null")
    return float(tab.evaluate("() => seen.ended - seen.began"))


def _told(tab: Any, path: Path) -> tuple[float, float]:
    """One image: the milliseconds that the page tells, and those until it is shown."""
    shown = _give(tab, [path])
    words = tab.text_content("#result")
    found = re.search(r"([\d.]+) ms", words)
    if found is None:
        raise SystemExit(f"the page did not score {path.name}: {words}")
    return float(found.group(1)), shown


def _csv(tab: Any, positive: str) -> dict[str, float]:
    with tab.expect_download() as started:
        tab.click("#download")
    rows = csv.DictReader(io.StringIO(Path(started.value.path()).read_text(encoding="utf-8-sig")))
    scored = {row["file"]: row[f"p_{positive}"] for row in rows}
    refused = [name for name, value in scored.items() if not value]
    if refused:
        raise SystemExit(f"the page refused {len(refused)} of the images, {refused[0]} for one: nothing was measured")
    return {name: float(value) for name, value in scored.items()}
