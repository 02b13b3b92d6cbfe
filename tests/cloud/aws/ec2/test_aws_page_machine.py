"""What a page's machine does: its user data and its server run for real, against moto's S3, on loopback."""

from __future__ import annotations

import ast
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from ec2_site import Site
from hosted_page import FILES, make_page
from page_machine_sandbox import PageSite, page_site, running_machine

from cxr.cloud.aws.ec2.page_user_data import page_user_data
from cxr.cloud.aws.ec2.user_data import MAXIMUM_BYTES
from cxr.cloud.hosting import page_server
from cxr.webapp.serve import serving

#: What differs from answer to answer, or from Python to Python.
_PASSING = {"Date", "Server"}


@pytest.fixture
def place(account_site: Site, page: Path) -> PageSite:
    place = page_site(account_site, page)
    place.serve()
    return place


def wait_for(what: Callable[[], bool], output: Path) -> None:
    deadline = time.monotonic() + 300
    while True:
        try:
            if what():
                return
        except requests.RequestException:  # not there yet, or just started anew
            pass
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.05)


def headers_of(answer: requests.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in _PASSING}


@pytest.mark.slow
def test_the_machine_serves_the_page_as_cxr_web_serve_does(place: PageSite, tmp_path: Path) -> None:
    names = ["", *FILES, "service-worker.js", "nothing.html", "hosted.json", "..%2Flist.json", "server/files.json"]
    with running_machine(tmp_path / "machine", place) as machine, serving(place.page) as own:
        wait_for(lambda: requests.get(machine.url, timeout=120).ok, machine.folder / "output")
        for name in names:
            for encoding in ("identity", "gzip"):
                asked = {"Accept-Encoding": encoding}
                served = requests.get(f"{machine.url}/{name}", headers=asked, timeout=120)
                expected = requests.get(f"{own.url}{name}", headers=asked, timeout=120)
                assert (served.status_code, served.content) == (expected.status_code, expected.content), name
                if "Content-Encoding" in served.headers or encoding == "identity":
                    assert headers_of(served) == headers_of(expected), (name, encoding)
                    head = requests.head(f"{machine.url}/{name}", headers=asked, timeout=120)
                    assert (headers_of(head), head.content) == (headers_of(served), b"")
        again = requests.get(machine.url, headers={"If-None-Match": served_tag(machine.url)}, timeout=120)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["Cache-Control"] == "no-cache"
        assert "default-src 'none'" in requests.get(machine.url, timeout=120).headers["Content-Security-Policy"]
    assert machine.calls[0] == "shutdown -h +1440"
    (check,) = [call for call in machine.calls if "--check" in call]
    (start,) = [call for call in machine.calls if "--unit=cxr-page" in call]
    for call in (check, start):
        assert "--property=DynamicUser=yes" in call
        assert "--property=IPAddressDeny=169.254.169.254" in call


def served_tag(url: str) -> str:
    return str(requests.get(url, headers={"Accept-Encoding": "gzip"}, timeout=120).headers["ETag"])


def test_a_new_page_is_fetched_when_it_is_whole_and_the_old_one_is_served_until_then(
    place: PageSite, tmp_path: Path
) -> None:
    style = "assets/style-9f.css"
    with running_machine(tmp_path / "machine", place) as machine:
        output = machine.folder / "output"
        wait_for(lambda: requests.get(machine.url, timeout=120).content == FILES["index.html"], output)
        make_page(place.page, **{"index.html": b"the new page"})
        damaged = place.site.get(f"page/{style}")
        place.site.put(f"page/{style}", b"damaged")
        place.site.s3.put_object(
            Bucket=place.site.connection.bucket, Key="page/server/files.json",
            Body=b" " + place.site.get("page/server/files.json"),
        )  # fmt: skip
        wait_for(lambda: f"{style} is not what server/files.json says" in output.read_text(), output)
        assert requests.get(machine.url, timeout=120).content == FILES["index.html"]
        assert requests.get(f"{machine.url}/{style}", timeout=120).content == FILES[style]
        place.site.put(f"page/{style}", damaged)
        place.serve()
        wait_for(lambda: requests.get(machine.url, timeout=120).content == b"the new page", output)
        assert requests.get(f"{machine.url}/{style}", timeout=120).content == FILES[style]
        # Nothing new: neither fetched nor started again.
        started = sum("--unit=cxr-page" in call for call in machine.calls)
        asked = len(machine.calls)
        wait_for(lambda: len(machine.calls) > asked + 6, output)
        assert sum("--unit=cxr-page" in call for call in machine.calls) == started


def test_a_bucket_without_a_page_leaves_a_machine_that_ends_all_the_same(account_site: Site, tmp_path: Path) -> None:
    with running_machine(tmp_path / "machine", page_site(account_site, tmp_path), hours=0.5) as machine:
        calls = machine.folder / "calls"
        wait_for(
            lambda: calls.is_file() and sum("aws s3 cp" in call for call in machine.calls) > 1,
            machine.folder / "output",
        )
    assert machine.calls[0] == "shutdown -h +30"
    assert not any("systemd-run" in call for call in machine.calls)


def test_the_user_data_quotes_and_is_short() -> None:
    script = page_user_data("s3://bucket/it's $HOME", "us-east-1", 720)
    assert """PAGE='s3://bucket/it'"'"'s $HOME'""" in script
    assert "HARD_STOP_MINUTES=43200" in script
    assert len(script.encode()) < MAXIMUM_BYTES / 2


def test_the_program_needs_nothing_but_an_old_python() -> None:
    text = Path(page_server.__file__).read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 9))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= set(sys.stdlib_module_names) | {"__future__"}
