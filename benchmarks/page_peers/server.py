"""Pages on loopback, gzipped, with every byte counted that leaves for the browser."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from cxr.webapp.headers import content_type
from cxr.webapp.serve import LOOPBACK, PageHandler, compressed

#: What a page must send to be alone in its process, without which browsers give no shared memory, so no threads.
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


class Traffic:
    """Bytes of answers (headers and gzipped bodies) and the paths that were sent, since `reset`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Count from nothing."""
        self.sent, self.asked = 0, []

    def add(self, size: int) -> None:
        """Count what was written."""
        with self._lock:
            self.sent += size


class _Counted(BaseHTTPRequestHandler):
    traffic: ClassVar[Traffic]

    def setup(self) -> None:
        super().setup()
        write, traffic = self.wfile.write, self.traffic

        def counted(data: Any) -> int:
            traffic.add(len(data))
            return write(data)

        self.wfile.write = counted

    def log_request(self, code: object = "-", size: object = "-") -> None:
        if code != HTTPStatus.NOT_MODIFIED:
            self.traffic.asked.append(self.path)


class _Ours(_Counted, PageHandler):
    """As `cxr web serve` answers."""


class _Theirs(_Counted):
    """Everything gzipped, kept for a year, without a security policy."""

    root: ClassVar[Path]
    extra: ClassVar[dict[str, str]]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send a file."""
        name = unquote(urlsplit(self.path).path).lstrip("/") or "index.html"
        path = (self.root / name).resolve()
        found = path.is_relative_to(self.root) and path.is_file()
        body = compressed(path, path.stat().st_mtime_ns) if found else b""
        self.send_response(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)
        headers = {"Content-Type": content_type(name), "Content-Encoding": "gzip"} if found else {}
        for key, value in {**headers, **self.extra, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        # A browser that is closed leaves its connections: nothing that went wrong.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def counted_page(folder: Path, *, ours: bool, isolated: bool = False) -> Iterator[tuple[str, Traffic]]:
    """Serve a folder on a free port until the block ends: its address, and what leaves. `ours`: as `cxr web serve`
    does; `isolated`: with the headers that threads need."""
    counter = Traffic()
    settings = {"root": folder.resolve(), "traffic": counter, "extra": ISOLATED if isolated else {}}
    handler = type("Handler", (_Ours if ours else _Theirs,), settings)
    server = _Server((LOOPBACK, 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}/", counter
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
