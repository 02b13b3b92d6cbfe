"""The HTTP connections under Google's storage SDK.

The SDK takes any object with the `request` method of a requests session. This one is a pool of connections as wide as
the number of workers, without what requests does anew for each call (proxies, cookies, pool keys: half a millisecond of
CPU), and every byte passes the transfer's pace.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import certifi
import google.auth.transport.requests
import requests
import urllib3
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies, select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from cxr.storage.limits import Limits, Pace

#: What is handed to the socket at once.
BLOCK_BYTES: Final = 64 << 10


class Wire:
    """Authorised requests over one connection pool. Network failures are raised as exceptions of `requests`."""

    is_mtls = False

    def __init__(self, credentials: Any, *, origin: str, width: int, limits: Limits) -> None:
        self.credentials = credentials
        self._auth = google.auth.transport.requests.Request()
        self._timeout = urllib3.Timeout(connect=limits.connect_s, read=limits.stall_s)
        self._pools = _pool_manager(origin, width, limits.pace)

    def request(
        self, method: str, url: str, data: Any = None, headers: Mapping[str, Any] | None = None, **options: Any
    ) -> requests.Response:
        """One request; of the options of a requests session only `stream` means anything here."""
        sent = {key: str(value) for key, value in (headers or {}).items()}
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


def _pool_manager(origin: str, width: int, pace: Pace) -> urllib3.PoolManager:
    options: dict[str, Any] = {"num_pools": 4, "maxsize": width, "block": False}
    if origin.startswith("https:"):
        # One context for all connections: to load the certificates takes longer than to send a file.
        context = urllib3.util.create_urllib3_context()
        context.load_verify_locations(os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where())
        options["ssl_context"] = context
    proxy = None if _is_loopback(origin) else select_proxy(origin, get_environ_proxies(origin))
    manager = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = {
        "http": type("PacedPool", (HTTPConnectionPool,), {"ConnectionCls": _paced(HTTPConnection, pace)}),
        "https": type("PacedTlsPool", (HTTPSConnectionPool,), {"ConnectionCls": _paced(HTTPSConnection, pace)}),
    }
    return manager


def _is_loopback(origin: str) -> bool:
    return urlsplit(origin).hostname in {"127.0.0.1", "localhost", "::1"}


def _paced(base: type[HTTPConnection], pace: Pace) -> type[HTTPConnection]:
    class Paced(base):  # type: ignore[misc, valid-type]
        def send(self, data: Any) -> None:
            view = memoryview(data)
            for start in range(0, len(view), BLOCK_BYTES):
                block = view[start : start + BLOCK_BYTES]
                pace.take(len(block))
                super().send(block)

    return Paced


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
