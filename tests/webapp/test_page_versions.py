"""The page across its versions, in a real Chromium with its service worker: a visit never mixes two of them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from page_reader import Reader, keras_probability

from cxr.bundle import Bundle, write_bundle
from cxr.local_baseline.exports.making import make_exports
from cxr.local_baseline.exports.plan import ExportRequest, plan_exports
from cxr.local_baseline.exports.registry import parse_formats
from cxr.local_baseline.tensorflow_setup import load
from cxr.webapp.build import PageRequest, build_page
from cxr.webapp.serve import PageHandler, serving


@pytest.fixture(scope="module")
def another_bundle(page_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same net with another last bias: other probabilities of every film."""
    folder = tmp_path_factory.mktemp("another") / "another"
    folder.mkdir()
    model = load().keras.models.load_model(page_bundle.model_path)
    model.layers[-1].bias.assign_add([2.0])
    model.save(folder / "model.keras")
    return write_bundle(folder, replace(page_bundle.info, name="another", files=()))


@pytest.fixture(scope="module")
def another_page(another_bundle: Bundle) -> Path:
    """The page of that net, without a check and without hashes."""
    folder = another_bundle.folder.parent
    request = ExportRequest(another_bundle, parse_formats("tfjs-float16"), folder / "exports", folder / "cache")
    (export,) = make_exports(request, plan_exports(request), lambda done, total, note: None)
    assert export.bundle is not None
    return build_page(PageRequest(export.bundle, another_bundle), folder / "page").folder


@pytest.fixture
def deployed(page_folder: Path, tmp_path: Path) -> Path:
    """A copy of the page, whose place another may take."""
    shutil.copytree(page_folder, tmp_path / "page")
    return tmp_path / "page"


def redeploy(folder: Path, page: Path) -> None:
    """Put another page in the place of the one in `folder`."""
    shutil.rmtree(folder)
    shutil.copytree(page, folder)


@pytest.mark.slow
def test_the_first_visit_to_a_new_version_scores_with_the_new_model(
    browser: Any, deployed: Path, another_page: Path, page_bundle: Bundle, another_bundle: Bundle, films: list[Path]
) -> None:
    context = browser.new_context()
    reader = Reader(context.new_page())
    with serving(deployed) as server:
        reader.open(server.url)
        reader.page.locator("#offline", has_text="offline").wait_for()
        reader.give(films[1])
        old = reader.probability("PNEUMONIA")
        redeploy(deployed, another_page)
        reader.open(server.url)
        assert reader.page.inner_text("#model-name") == "another"
        reader.give(films[1])
        new = reader.probability("PNEUMONIA")
    context.close()
    wanted = [keras_probability(bundle, films[1]) for bundle in (page_bundle, another_bundle)]
    assert abs(wanted[1] - wanted[0]) > 0.02
    assert [old, new] == pytest.approx(wanted, abs=1e-3)
    assert reader.problems == []


@pytest.mark.slow
def test_a_tab_is_told_of_a_newer_version_and_a_new_one_is_not(
    browser: Any, deployed: Path, another_page: Path, films: list[Path]
) -> None:
    context = browser.new_context()
    first, second = Reader(context.new_page()), Reader(context.new_page())
    with serving(deployed) as server:
        first.open(server.url)
        first.page.locator("#offline", has_text="offline").wait_for()
        redeploy(deployed, another_page)
        second.open(server.url)
        first.page.locator("#newer", has_text="A newer version of this page is there").wait_for()
        second.page.wait_for_timeout(300)
        assert second.page.inner_text("#newer") == ""
        # What the first tab has loaded goes on to work.
        first.give(films[1])
    context.close()
    assert first.problems == second.problems == []


@pytest.mark.slow
def test_files_named_by_their_content_change_their_names_with_it(page_folder: Path, another_page: Path) -> None:
    def models(page: Path) -> set[str]:
        return {path.parent.name for path in page.glob("assets/model-*/model.json")}

    assert len(models(page_folder)) == len(models(another_page)) == 1
    assert models(page_folder) != models(another_page)
    assert len(list(page_folder.glob("assets/known-*.bin"))) == 1
    assert list(another_page.glob("assets/known-*.bin")) == []


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


@pytest.mark.slow
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
