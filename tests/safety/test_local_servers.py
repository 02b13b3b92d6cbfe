"""The servers of this machine answer its programs, and no page that a browser has open.

Google's emulator: tests/cloud/emulator/test_strictness.py; the page's own server: test_paths_stay_inside.py.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cxr.cloud.aws.local.application import Application
from cxr.cloud.aws.local.control import Control
from cxr.cloud.aws.local.jobs.work import JobRunner
from cxr.cloud.aws.local.outcomes import Outcomes
from cxr.cloud.local_servers.life import HOST
from cxr.webapp.serve import LOOPBACK


def answer(**environ: str) -> str:
    """The status of a request to the server that stands for Amazon, whose S3 gives an image."""
    said: list[str] = []

    def moto(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"an image"]

    control = Control(JobRunner(1), Outcomes(), "http://127.0.0.1:5000")
    application = Application(moto, threading.RLock(), {}, control)
    defaults = {"REQUEST_METHOD": "GET", "PATH_INFO": "/bucket/image.jpeg", "HTTP_HOST": "127.0.0.1:5000"}
    list(application({**defaults, **environ}, lambda status, headers, *_: said.append(status)))
    return said[0]


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "localhost:5000", "localhost", "bucket.localhost:5000"])
def test_a_program_of_this_machine_is_answered_in_amazons_stead(host: str) -> None:
    assert answer(HTTP_HOST=host) == "200 OK"


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_HOST": "evil.example:5000"},
        {"HTTP_HOST": "localhost.evil.example"},
        {"HTTP_HOST": ""},
        {"HTTP_ORIGIN": "http://evil.example"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site"},
        {"HTTP_HOST": "evil.example", "PATH_INFO": "/_aws_local/outcomes", "REQUEST_METHOD": "PUT"},
    ],
    ids=str,
)
def test_a_web_page_is_not_answered_in_amazons_stead(headers: dict[str, str]) -> None:
    assert answer(**headers).startswith("403")


def test_all_servers_are_bound_to_this_machine_alone() -> None:
    assert HOST == LOOPBACK == "127.0.0.1"
