"""The page's folder without its scripts: headers, hashes of training images, model card, server."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr.bundle import Bundle, BundleInfo, ModelFormat, Origin, Preprocessing, Threshold, write_bundle
from cxr.errors import Fault, InputError
from cxr.webapp.card import metrics_of, model_card
from cxr.webapp.headers import content_security_policy, headers_for
from cxr.webapp.known import PREFIX_BYTES, known_prefixes
from cxr.webapp.page import read_page
from cxr.webapp.serve import RunningServer, serving

HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(st.lists(HEX, max_size=20))
def test_known_files_are_sorted_prefixes_without_doubles(hashes: list[str]) -> None:
    packed = known_prefixes(hashes)
    entries = [packed[at : at + PREFIX_BYTES] for at in range(0, len(packed), PREFIX_BYTES)]
    assert entries == sorted(set(entries))
    assert set(entries) == {bytes.fromhex(one)[:PREFIX_BYTES] for one in hashes}


def test_the_policy_allows_own_files_and_webassembly_alone() -> None:
    policy = content_security_policy()
    assert "default-src 'none'" in policy
    assert "script-src 'self' 'wasm-unsafe-eval'" in policy
    assert "frame-ancestors 'none'" in policy
    for forbidden in ("'unsafe-inline'", "'unsafe-eval'", "http:", "https:", "*"):
        assert forbidden not in policy


def test_only_files_named_by_their_content_are_kept() -> None:
    for path in ("assets/page-AB12.js", "assets/model-5d0c1f2a/model.json", "assets/known-3e7a9b10.bin"):
        assert "immutable" in headers_for(path)["Cache-Control"]
    for path in ("index.html", "service-worker.js", "page.json"):
        assert headers_for(path)["Cache-Control"] == "no-cache"
    assert headers_for("assets/x.wasm")["Content-Type"] == "application/wasm"
    assert headers_for("model/a.weights")["Content-Type"] == "application/octet-stream"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle with a file that stands for a model."""
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "model.keras").write_bytes(b"model")
    info = BundleInfo(
        name="net",
        origin=Origin.BASELINE,
        format=ModelFormat.KERAS,
        model_path="model.keras",
        classes=("NORMAL", "PNEUMONIA"),
        positive_class="PNEUMONIA",
        preprocessing=Preprocessing(64, 48, 1),
        threshold=Threshold(0.25, "youden", "validation"),
        manifest_hash="a" * 64,
        provenance={"recipe": "cnn5", "parameters": 1_234_567},
    )
    return write_bundle(folder, info)


def test_the_card_says_what_is_known_and_nothing_else(bundle: Bundle) -> None:
    card = model_card(bundle, None, 1_000, "cxr 1")
    assert dict(card.about)["Parameters"] == "1,234,567"
    assert dict(card.about)["Decision"].startswith("PNEUMONIA from a probability of 0.250")
    assert "Calibration" not in dict(card.about)
    assert "Training and validation images" not in dict(card.data)
    assert dict(model_card(bundle, 4_000, 1_000, "cxr 1").data)["Training and validation images"] == "4,000"
    words = json.dumps([card.summary, card.about, card.data])
    assert "diagnos" not in words.lower()


def test_undefined_measures_are_left_out() -> None:
    estimate = {"value": 0.9, "low": 0.8, "high": 0.95}
    nothing = {"value": None, "low": None, "high": None}
    document = {
        "metrics": {"auc": estimate, "accuracy": {**estimate, "low": None, "high": None}, "sensitivity": nothing},
        "images": 1_200,
        "patients": 900,
        "split": "test",
    }
    metrics = metrics_of(document)
    assert [(figure.name, figure.low, figure.share) for figure in metrics.figures] == [
        ("AUC", 0.8, False),
        ("Accuracy", None, True),
    ]
    assert metrics.caption == "On the test split: 1,200 images of 900 patients."


def test_a_folder_that_is_no_page_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a page"):
        read_page(tmp_path)
    (tmp_path / "page.json").write_text('{"schema_version": 9}')
    with pytest.raises(InputError, match="schema version 9"):
        read_page(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A folder with two files and a secret beside it, served."""
    page = tmp_path / "page"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<p>here</p>" * 100)
    (page / "assets" / "a.js").write_text("x")
    (tmp_path / "secret.txt").write_text("secret")
    (page / "link").symlink_to(tmp_path / "secret.txt")
    with serving(page) as running:
        yield running


def ask(server: RunningServer, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One request, without any tidying of its path."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=120)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_a_page_is_served_with_its_headers_and_gzip(server: RunningServer) -> None:
    status, headers, body = ask(server, "/", **{"Accept-Encoding": "gzip"})
    assert (status, headers["content-encoding"], gzip.decompress(body)) == (200, "gzip", b"<p>here</p>" * 100)
    assert headers["content-security-policy"] == content_security_policy()
    plain = ask(server, "/index.html?x=1")
    assert (plain[0], plain[2]) == (200, b"<p>here</p>" * 100)
    assert "content-encoding" not in plain[1]
    head = ask(server, "/index.html", "HEAD")
    assert (head[0], head[1]["content-length"], head[2]) == (200, "1100", b"")


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_what_a_browser_has_is_not_sent_again(server: RunningServer, tmp_path: Path, encoding: str) -> None:
    for path in ("/", "/assets/a.js"):
        status, headers, body = ask(server, path, **{"Accept-Encoding": encoding})
        assert (status, body != b"") == (200, True)
        has = {"Accept-Encoding": encoding, "If-None-Match": f'"other", W/{headers["etag"]}'}
        again = ask(server, path, **has)
        assert (again[0], again[2], again[1]["etag"]) == (304, b"", headers["etag"])
        assert again[1]["cache-control"] == headers["cache-control"]
        assert ask(server, path, **{**has, "If-None-Match": '"other"'})[0] == 200
    script = tmp_path / "page" / "assets" / "a.js"
    script.write_text("y")
    os.utime(script, (1.7e9, 1.7e9))  # another time than before, however coarse the clock
    changed = ask(server, "/assets/a.js", **has)
    assert changed[0] == 200
    assert (gzip.decompress(changed[2]) if encoding == "gzip" else changed[2]) == b"y"


def test_packed_and_plain_contents_have_tags_of_their_own(server: RunningServer) -> None:
    tags = {ask(server, "/", **{"Accept-Encoding": encoding})[1]["etag"] for encoding in ("gzip", "identity")}
    assert len(tags) == 2


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/link", "/assets", "/none", "/assets/../../secret.txt"]
)
def test_nothing_outside_the_page_is_served(server: RunningServer, path: str) -> None:
    assert ask(server, path)[0] == 404


def test_a_taken_port_is_said_so(server: RunningServer, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="cannot serve on port"), serving(tmp_path, server.port):
        pass


def test_hashes_on_the_page_are_those_of_the_files() -> None:
    digest = hashlib.sha256(b"image").hexdigest()
    assert known_prefixes([digest]).hex() == digest[: 2 * PREFIX_BYTES]
