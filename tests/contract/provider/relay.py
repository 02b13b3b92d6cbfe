"""A server between a program and a cloud's: it keeps what it hears, and can keep an answer back."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from cxr.cloud.local_servers.process import ServerFiles

Chooses = Callable[[str, str, Mapping[str, str]], bool]
_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "expect"})
HOLD_SECONDS = 300.0


@dataclass(frozen=True)
class Heard:
    """One request and its answer; header names are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    answer: bytes


@dataclass
class Relay:
    """What was heard, and what is held: the answer to the next request that `holds` chooses, until `release`."""

    url: str
    heard: list[Heard] = field(default_factory=list)
    holds: Chooses = lambda method, path, headers: False
    is_holding: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)


@contextmanager
def relay_to(target: str) -> Iterator[Relay]:
    """A relay on a port of its own."""
    address = urlsplit(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self._body()
            headers = {name.lower(): value for name, value in self.headers.items() if name.lower() not in _HOP}
            upstream = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
            upstream.request(self.command, self.path, body, headers)
            response = upstream.getresponse()
            answer = response.read()
            upstream.close()
            relay.heard.append(Heard(self.command, self.path, headers, body, answer))
            if relay.holds(self.command, self.path, headers):
                relay.is_holding.set()
                relay.release.wait(HOLD_SECONDS)
            self._answer(response, answer)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self, response: http.client.HTTPResponse, answer: bytes) -> None:
            try:
                self.send_response_only(response.status, response.reason)
                for name, value in response.getheaders():
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                length = response.getheader("Content-Length") if self.command == "HEAD" else str(len(answer))
                if response.status != 204 and length is not None:
                    self.send_header("Content-Length", length)
                self.end_headers()
                self.wfile.write(answer)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # whoever asked was killed

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _pass_on  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    relay = Relay(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.release.set()
        server.shutdown()
        server.server_close()


def lead_to(url: str, state: Path, other: Path) -> None:
    """Programs that look for a server in the folder `other` find the one of the folder `state` there, and ask it at
    `url`."""
    other.mkdir(parents=True, exist_ok=True)
    files, there = ServerFiles(state), ServerFiles(other)
    if not there.lock_file.exists():
        there.lock_file.symlink_to(files.lock_file)
    record = json.loads(files.server_file.read_text())
    there.server_file.write_text(json.dumps({**record, "url": url}))
