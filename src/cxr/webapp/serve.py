"""A small server for a built page, on loopback: the headers of `headers.py`, gzip, entity tags so that nothing is sent
twice, nothing above the page's folder."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from cxr.errors import Fault
from cxr.webapp.headers import COMPRESSED, INDEX, headers_for

LOOPBACK = "127.0.0.1"
#: What a browser on this machine calls it.
NAMES = (LOOPBACK, "localhost")


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where the page is served."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The page's address. `localhost` counts as a secure place, where browsers allow the page to work offline."""
        return f"http://localhost:{self.port}/"


@contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[RunningServer]:
    """Serve the page from a thread of its own until the block ends; port 0: any free one. Raises Fault when the port is
    taken."""
    server = open_server(folder, port)
    thread = threading.Thread(target=server.serve_forever, name="page", daemon=True)
    thread.start()
    try:
        yield RunningServer(LOOPBACK, server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def open_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server bound to loopback that does not answer yet."""

    class Handler(PageHandler):
        root = folder.resolve()

    try:
        return ThreadingHTTPServer((LOOPBACK, port), Handler)
    except OSError as error:
        raise Fault(
            f"cannot serve on port {port}: {error.strerror or error}", hint="choose another --port, or 0 for any"
        ) from error


class PageHandler(BaseHTTPRequestHandler):
    """GET and HEAD of the files below `root`."""

    root: ClassVar[Path]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send a file."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Send a file's headers."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        if not _is_loopback(self.headers.get("Host", "")):
            # A page elsewhere may let its own name point here (DNS rebinding): it would be this page's origin.
            text = b"this server answers to localhost only\n"
            self._send(HTTPStatus.MISDIRECTED_REQUEST, {"Content-Type": "text/plain"}, text, with_body=with_body)
            return
        path = self._file()
        if path is None:
            self._send(HTTPStatus.NOT_FOUND, {"Content-Type": "text/plain"}, b"not found\n", with_body=with_body)
            return
        headers = headers_for(path.relative_to(self.root).as_posix())
        if path.suffix in COMPRESSED:
            headers["Vary"] = "Accept-Encoding"
        changed = path.stat().st_mtime_ns
        if path.suffix in COMPRESSED and "gzip" in self.headers.get("Accept-Encoding", ""):
            headers |= {"Content-Encoding": "gzip", "ETag": f'"{digest(path, changed)}-gzip"'}
            body = compressed(path, changed)
        else:
            headers["ETag"] = f'"{digest(path, changed)}"'
            body = path.read_bytes()
        if self._has(headers["ETag"]):
            self._send_not_modified(headers)
        else:
            self._send(HTTPStatus.OK, headers, body, with_body=with_body)

    def _file(self) -> Path | None:
        """The file that is asked for; None for one that is not there, not below the page's folder, or no name."""
        try:
            path = (self.root / (unquote(urlsplit(self.path).path).lstrip("/") or INDEX)).resolve()
            return path if path.is_relative_to(self.root) and path.is_file() else None
        except (OSError, ValueError):  # too long, or with a NUL
            return None

    def _has(self, tag: str) -> bool:
        """Whether the browser says that it has this content (If-None-Match, RFC 9110 13.1.2)."""
        known = [one.strip().removeprefix("W/") for one in self.headers.get("If-None-Match", "").split(",")]
        return tag in known or known == ["*"]

    def _send_not_modified(self, headers: dict[str, str]) -> None:
        self.send_response(HTTPStatus.NOT_MODIFIED)
        for name in ("ETag", "Cache-Control", "Vary"):
            if name in headers:
                self.send_header(name, headers[name])
        self.end_headers()

    def _send(self, status: HTTPStatus, headers: dict[str, str], body: bytes, *, with_body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: who looks at the page sees what it does."""


def _is_loopback(host: str) -> bool:
    """Whether a Host header is this machine's own; a program that sends none is no browser."""
    return not host or (host.rpartition(":")[0] or host) in NAMES


@lru_cache(maxsize=256)
def digest(path: Path, changed: int) -> str:
    """A hash of a file's bytes, kept until it changes (`changed` is its time of change)."""
    del changed  # only the cache asks for it
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


@lru_cache(maxsize=256)
def compressed(path: Path, changed: int) -> bytes:
    """A file's bytes as gzip, kept until it changes (`changed` is its time of change)."""
    del changed  # only the cache asks for it
    return gzip.compress(path.read_bytes(), compresslevel=9, mtime=0)
