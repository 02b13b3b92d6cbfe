"""The page's own code in headless Chromium: image files in, pixels and probabilities out. Nothing of Python's decoding
or resizing takes part."""

from __future__ import annotations

import base64
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from cxr.bundle import Bundle
from cxr.compare.parity.nouns import Cost, Reading
from cxr.compare.predictors.base import class_probabilities
from cxr.errors import Fault, InputError, UsageError, missing_package
from cxr.webapp.browser import INSTALL, find_chromium
from cxr.webapp.serve import serving
from cxr.webapp.static import verify_files

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: Files of one question to the page: its answer holds their pixels.
FILES_AT_ONCE = 8
VERIFY_PAGE = "verify/verify.html"
ANSWER_SECONDS, POLL_MS = 300, 20
ASK = """([files, contract, model]) => {
    window.told = null;
    window.cxrVerify(files, contract, model, { pixels: true }).then(
        (report) => { window.told = { report }; },
        (error) => { window.told = { error: String(error) }; },
    );
}"""


def lacking_browser() -> str:
    """What is missing to run a browser here, with the line to install it; empty when nothing is."""
    if find_spec("playwright") is None:
        return str(missing_package("playwright", "browser").hint)
    return "" if find_chromium() else INSTALL


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser (Playwright's Browser), closed at the end. Raises MissingPackage or UsageError."""
    if find_spec("playwright") is None:
        raise missing_package("playwright", "browser")
    path = find_chromium()
    if path is None:
        raise UsageError("there is no Chromium on this machine", hint=INSTALL)
    from playwright.sync_api import Error, sync_playwright

    try:
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
            try:
                yield browser
            finally:
                browser.close()
    except Error as error:
        words = str(error).strip().splitlines() or ["it ended"]
        raise Fault(f"the browser {path} failed: {words[0]}") from error


def read_in_chromium(browser: Any, export: Bundle, files: Sequence[Path]) -> Reading:
    """What the page makes of image files with a TF.js bundle; its times hold decoding, resizing and scoring. Raises
    InputError when the page's code fails."""
    with tempfile.TemporaryDirectory(prefix="cxr-verify-") as name:
        folder = Path(name)
        for path, source in verify_files().items():
            _link(source, folder / path)
        for source in export.model_path.iterdir():
            _link(source, folder / "model" / source.name)
        addresses = []
        for number, source in enumerate(files):
            addresses.append(f"images/{number}{source.suffix}")
            _link(source, folder / addresses[-1])
        with serving(folder) as server:
            page = browser.new_page()
            try:
                page.goto(server.url + VERIFY_PAGE)  # until its script has run
                images = _ask(page, export, [server.url + address for address in addresses], server.url + "model/")
            finally:
                page.close()
    return _reading(export, images)


def _ask(page: Any, export: Bundle, addresses: Sequence[str], model: str) -> list[dict[str, Any]]:
    contract = asdict(export.info.preprocessing)
    images: list[dict[str, Any]] = []
    for start in range(0, len(addresses), FILES_AT_ONCE):
        some = addresses[start : start + FILES_AT_ONCE]
        page.evaluate(ASK, [some, contract, model])
        images += _told(page)["images"]
    return images


def _told(page: Any) -> dict[str, Any]:
    """The page's answer, asked for again and again: a browser that stands still is not waited for without end."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while (told := page.evaluate("() => window.told")) is None:
        if time.monotonic() > deadline:
            raise Fault(f"the browser gave no answer in {ANSWER_SECONDS} seconds")
        page.wait_for_timeout(POLL_MS)
    if "error" in told:
        raise InputError(f"the page's code failed: {told['error']}")
    return dict(told["report"])


def _reading(export: Bundle, images: Sequence[dict[str, Any]]) -> Reading:
    contract = export.info.preprocessing
    shape = (contract.height, contract.width, contract.channels)
    unreadable = {number: str(image["error"]["message"]) for number, image in enumerate(images) if image.get("error")}
    read = [number for number in range(len(images)) if number not in unreadable]
    pixels = np.zeros((len(images), *shape), np.uint8)
    scores = np.zeros((len(images), len(export.info.classes)))
    for number in read:
        pixels[number] = np.frombuffer(base64.b64decode(images[number]["pixels"]), np.uint8).reshape(shape)
        scores[number] = images[number]["probabilities"]
    timed = [images[number] for number in read]
    times = [image["decode_ms"] + image["preprocess_ms"] + image["classify_ms"] for image in timed] or [0.0]
    cost = Cost(float(np.median(times)), float(np.percentile(times, 95)), None)
    return Reading(pixels, class_probabilities(scores, export), unreadable, cost)


def _link(source: Path, target: Path) -> None:
    """A file of the folder that is served: a copy, since the server leaves links that lead out of it alone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
