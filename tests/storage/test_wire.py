"""The connections under the SDK: authorised, as many as there are workers, over TLS and through a proxy."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from certificates import self_signed
from google.auth.credentials import AnonymousCredentials, Credentials

from cxr.errors import NotAllowed, Unreachable, UsageError
from cxr.storage.google.errors import seconds_of, storage_errors
from cxr.storage.google.store import GcsStore
from cxr.storage.google.wire import Wire
from cxr.storage.limits import Limits, Pace


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, headers, body))
        status, more, data = self.server.answers.pop(0) if self.server.answers else (200, {}, b"{}")
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.connections = 0
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[_Server]:
    server = _Server()
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Tokens(Credentials):  # type: ignore[misc]
    """A new token at each refresh."""

    def __init__(self) -> None:
        super().__init__()
        self.refreshed = 0

    def refresh(self, request: Any) -> None:
        self.refreshed += 1
        self.token = f"token-{self.refreshed}"


def wire_to(server: _Server, credentials: Any = None, **limits: Any) -> Wire:
    return Wire(credentials or AnonymousCredentials(), origin=server.origin, width=4, limits=Limits(**limits))


def test_a_token_that_is_refused_is_renewed_and_the_body_sent_again() -> None:
    with serving() as server:
        server.answers = [(401, {}, b"no"), (200, {}, b'{"a": 1}')]
        answer = wire_to(server, Tokens()).request("POST", server.origin + "/x", data=b"body")
        assert answer.json() == {"a": 1}
        assert [(head["authorization"], body) for _, _, head, body in server.seen] == [
            ("Bearer token-1", b"body"),
            ("Bearer token-2", b"body"),
        ]


def test_a_token_that_is_refused_twice_is_no_permission() -> None:
    with serving() as server:
        server.answers = [(401, {}, b"no")] * 2
        credentials = Tokens()
        store = _store(server, credentials)
        with pytest.raises(NotAllowed):
            store.stat("x")
        assert credentials.refreshed == 2


def test_connections_are_kept_and_no_more_than_there_are_workers() -> None:
    with serving() as server:
        wire = wire_to(server)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda n: wire.request("GET", f"{server.origin}/{n}").status_code, range(200)))
        assert answers == [200] * 200
        assert server.connections <= 4


def test_nobody_there_and_nobody_answering_are_both_unreachable() -> None:
    with serving() as server:
        gone = server.origin
    with pytest.raises(Unreachable), storage_errors("try"):
        Wire(AnonymousCredentials(), origin=gone, width=1, limits=Limits()).request("GET", gone)
    listener = __import__("socket").create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener, pytest.raises(Unreachable), storage_errors("try"):
        Wire(AnonymousCredentials(), origin=url, width=1, limits=Limits(stall_s=0.2)).request("GET", url)


def test_what_a_service_asks_for_reaches_the_error() -> None:
    with serving() as server:
        server.answers = [(429, {"Retry-After": "7"}, b"{}")]
        with pytest.raises(Unreachable) as raised:
            _store(server).stat("x")
        assert raised.value.retry_after == 7


def test_a_moment_to_wait_for_is_reckoned_by_the_services_clock() -> None:
    date, later = "Fri, 20 Nov 2026 10:00:00 GMT", "Fri, 20 Nov 2026 10:00:05 GMT"
    assert seconds_of(later, date) == 5
    assert seconds_of(date, later) == 0
    assert seconds_of("12", None) == 12
    assert seconds_of("soon", date) is None
    assert seconds_of(None, date) is None


def test_every_byte_passes_the_pace() -> None:
    pace = Pace()
    with serving() as server:
        pace.begin()
        wire_to(server, pace=pace).request("POST", server.origin, data=bytes(300_000))
        assert 300_000 <= pace.in_flight() < 301_000
        pace.end()
        assert pace.in_flight() == 0
        assert pace.moved >= 300_000


def test_the_certificate_is_checked_against_the_bundle_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, bundle = self_signed(tmp_path)
    with serving(context) as server:
        origin = server.origin.replace("http:", "https:")
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        with pytest.raises(requests.ConnectionError):
            Wire(AnonymousCredentials(), origin=origin, width=1, limits=Limits()).request("GET", origin)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        wire = Wire(AnonymousCredentials(), origin=origin, width=1, limits=Limits())
        assert wire.request("POST", origin, data=bytes(200_000)).status_code == 200


def test_a_proxy_of_the_environment_is_used_but_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as proxy, serving() as server:
        monkeypatch.setenv("http_proxy", proxy.origin)
        elsewhere = "http://storage.example"
        wire = Wire(AnonymousCredentials(), origin=elsewhere, width=1, limits=Limits())
        assert wire.request("GET", f"{elsewhere}/o").status_code == 200
        assert [path for _, path, _, _ in proxy.seen] == ["http://storage.example/o"]
        assert wire_to(server).request("GET", f"{server.origin}/o").status_code == 200
        assert len(server.seen) == 1


def _store(server: _Server, credentials: Any = None) -> GcsStore:
    from google.cloud import storage

    from cxr.storage.sessions import SessionRecords

    credentials = credentials or AnonymousCredentials()
    client = storage.Client(
        project="p",
        credentials=credentials,
        client_options={"api_endpoint": server.origin},
        _http=wire_to(server, credentials),
    )
    return GcsStore(client, "bucket", "", Pace(), SessionRecords())


def test_certificates_may_lie_in_a_folder_and_a_place_that_is_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    Wire(AnonymousCredentials(), origin="https://storage.example", width=1, limits=Limits())
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    with pytest.raises(UsageError, match=r"nowhere\.pem"):
        Wire(AnonymousCredentials(), origin="https://storage.example", width=1, limits=Limits())


def test_a_proxy_without_a_scheme_and_one_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.origin.replace("http://", "user:p%40ss@"))
        wire = Wire(AnonymousCredentials(), origin="http://storage.example", width=1, limits=Limits())
        assert wire.request("GET", "http://storage.example/o").status_code == 200
        _, path, headers, _ = proxy.seen[0]
        assert path == "http://storage.example/o"
        assert base64.b64decode(headers["proxy-authorization"].removeprefix("Basic ")) == b"user:p@ss"
        monkeypatch.setenv("http_proxy", "socks5h://127.0.0.1:1080")
        with pytest.raises(UsageError, match="not supported"):
            Wire(AnonymousCredentials(), origin="http://storage.example", width=1, limits=Limits())
