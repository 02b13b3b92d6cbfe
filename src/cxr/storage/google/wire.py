"""The HTTP connections under Google's storage SDK.

The SDK takes any object with the `request` method of a requests session. This one is a pool of connections as wide as
the number of workers, without what requests does anew for each call (proxies, cookies, pool keys: half a millisecond of
CPU), and every byte passes the transfer's pace.
"""

from __future__ import annotations

import fcntl
import os
import ssl
import sys
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import certifi
import google.auth.transport.requests
import requests
import urllib3
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies, select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from cxr.errors import UsageError
from cxr.storage.limits import Limits

#: What is handed to the socket at once.
BLOCK_BYTES: Final = 64 << 10


class Wire:
    """Authorised requests over one connection pool. Network failures are raised as exceptions of `requests`."""

    is_mtls = False

    def __init__(self, credentials: Any, *, origin: str, width: int, limits: Limits) -> None:
        self.credentials = credentials
        self._origin = origin
        self._auth = google.auth.transport.requests.Request()
        self._timeout = urllib3.Timeout(connect=limits.connect_s, read=limits.stall_s)
        self._pools = _pool_manager(origin, width, limits)

    def request(
        self, method: str, url: str, data: Any = None, headers: Mapping[str, Any] | None = None, **options: Any
    ) -> requests.Response:
        """One request; of the options of a requests session only `stream` means anything here."""
        sent = {key: str(value) for key, value in (headers or {}).items()}
        if not f"{url}/".startswith(f"{self._origin}/"):
            raise requests.exceptions.InvalidURL(f"{url} is not at {self._origin}: no token is sent there")
        self.credentials.before_request(self._auth, method, url, sent)
        answer = self._once(method, url, data, sent)
        if answer.status == 401:
            # The token may have been revoked before its time. Bodies here are bytes, so they can be sent again.
            answer.drain_conn()
            self.credentials.refresh(self._auth)
            self.credentials.before_request(self._auth, method, url, sent)
            answer = self._once(method, url, data, sent)
        response = _as_requests(answer, method, url, sent)
        if not options.get("stream"):
            _ = response.content
        return response

    def close(self) -> None:
        """Close all idle connections."""
        self._pools.clear()

    def _once(self, method: str, url: str, data: Any, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            return self._pools.request(
                method,
                url,
                body=data,
                headers=headers,
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except urllib3.exceptions.TimeoutError as error:
            raise requests.Timeout(error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise requests.ConnectionError(error) from error


def _pool_manager(origin: str, width: int, limits: Limits) -> urllib3.PoolManager:
    options: dict[str, Any] = {"num_pools": 4, "maxsize": width, "block": False}
    if origin.startswith("https:"):
        # One context for all connections: to load the certificates takes longer than to send a file.
        context = urllib3.util.create_urllib3_context()
        _load_authorities(context)
        options["ssl_context"] = context
    proxy = None if _is_loopback(origin) else select_proxy(origin, get_environ_proxies(origin))
    manager = _through(proxy, options) if proxy else urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = {
        "http": type("PacedPool", (HTTPConnectionPool,), {"ConnectionCls": _paced(HTTPConnection, limits)}),
        "https": type("PacedTlsPool", (HTTPSConnectionPool,), {"ConnectionCls": _paced(HTTPSConnection, limits)}),
    }
    return manager


def _is_loopback(origin: str) -> bool:
    return urlsplit(origin).hostname in {"127.0.0.1", "localhost", "::1"}


def _load_authorities(context: ssl.SSLContext) -> None:
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    place = Path(named or certifi.where())
    try:
        if place.is_dir():
            context.load_verify_locations(capath=place)
        else:
            context.load_verify_locations(cafile=place)
    except OSError as error:
        raise UsageError(
            f"the certificates of {place} cannot be read: {error.strerror or error}", hint="mend REQUESTS_CA_BUNDLE"
        ) from error


def _through(proxy: str, options: dict[str, Any]) -> urllib3.ProxyManager:
    url = proxy if "://" in proxy else f"http://{proxy}"
    if not url.startswith(("http:", "https:")):
        raise UsageError(f"the proxy {proxy} is of a kind that is not supported here", hint="use an http proxy")
    auth = urllib3.util.parse_url(url).auth
    headers = urllib3.make_headers(proxy_basic_auth=unquote(auth)) if auth else None
    return urllib3.ProxyManager(url, proxy_headers=headers, **options)


def _paced(base: type[HTTPConnection], limits: Limits) -> type[HTTPConnection]:
    class Paced(base):  # type: ignore[misc, valid-type]
        _head: bytes | None = None
        _response_options: Any
        _body_bytes = 0

        def connect(self) -> None:
            self._head = None
            super().connect()
            self.sock.settimeout(limits.stall_s)  # from now on it is not the time to connect that counts

        def request(self, method: str, url: str, body: Any = None, *args: Any, **options: Any) -> None:
            # The head waits for the body: one call and one packet for both.
            self._head = b"" if body else None
            self._body_bytes = 0
            if self.sock is not None:
                self.timeout = limits.stall_s
            super().request(method, url, body, *args, **options)

        def send(self, data: Any) -> None:
            if self._head == b"":
                self._head = bytes(data)
                return
            view = memoryview(data)
            first, self._head = self._head or b"", None
            if self.sock is None:
                self.connect()
            for start in range(0, max(len(view), 1), BLOCK_BYTES):
                block = view[start : start + BLOCK_BYTES]
                limits.pace.take(len(first) + len(block))
                _send_all(self.sock, memoryview(first + block) if first else block)
                first = b""
            self._body_bytes += len(view)

        def getresponse(self) -> Any:
            # On a slow line what was handed to the system long ago may still be under way: that is no silence.
            unsent = _unsent(self.sock) if self._body_bytes > BLOCK_BYTES else 0
            options = self._response_options
            while True:
                try:
                    return super().getresponse()
                except TimeoutError:
                    left = _unsent(self.sock)
                    if left >= unsent:
                        raise
                    unsent, self._response_options = left, options

    return Paced


def _send_all(sock: Any, view: memoryview) -> None:
    # Unlike `sendall`, whose time-out is for everything: here each call that gets something through begins it anew.
    while len(view):
        view = view[sock.send(view) :]


def _unsent(sock: Any) -> int:
    # SIOCOUTQ of Linux: bytes that the other side has not acknowledged (tcp(7)). Elsewhere it is not known.
    try:
        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):
        return 0


class _Sent:
    """What the SDK and google.api_core ask of a response's request."""

    def __init__(self, method: str, url: str, headers: dict[str, str]) -> None:
        self.method, self.url, self.headers = method, url, headers


def _as_requests(answer: urllib3.BaseHTTPResponse, method: str, url: str, headers: dict[str, str]) -> requests.Response:
    response = requests.Response()
    response.status_code = answer.status
    response.headers = CaseInsensitiveDict(answer.headers)
    response.raw = answer
    response.reason = answer.reason or ""
    response.url = url
    response.encoding = "utf-8"
    response.request = _Sent(method, url, headers)  # type: ignore[assignment]
    return response
