"""Heads and chunked bodies of requests, read by httptools."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import httptools

from cxr.cloud.emulator.incoming import IncomingBody


@dataclass(slots=True)
class Head:
    """A request's first lines. `path` is raw; header names are in lower case, repeated ones are joined by commas."""

    method: str
    path: str
    query: bytes
    headers: dict[str, str]
    keep_alive: bool
    size: int

    @property
    def has_no_length(self) -> bool:
        """Whether a body is to be expected and nothing says how long it is."""
        if self.method not in {"POST", "PUT", "PATCH"}:
            return False
        return "content-length" not in self.headers and "transfer-encoding" not in self.headers

    @property
    def body_length(self) -> int | None:
        """How many bytes of body are announced; None for a chunked body."""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return None
        return int(self.headers.get("content-length", "0"))


class Parser:
    """What httptools tells about one request, collected.

    Behind the end of a chunked body it goes on with the next request, and behind the last chunk there may be trailers:
    of both nothing is taken. `has_more` says that there was more.
    """

    def __init__(self) -> None:
        self.is_complete = False
        self.has_more = False
        self._is_head = True
        self._keep_alive = False
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: IncomingBody | None = None
        self._http = httptools.HttpRequestParser(self)

    def head(self, data: bytes) -> Head | None:
        """The head in `data`; None when it is not one."""
        try:
            with contextlib.suppress(httptools.HttpParserUpgrade):  # nothing to upgrade to: answered as plain HTTP
                self._http.feed_data(data)
            url = httptools.parse_url(self._url)
            path = (url.path or b"/").decode("utf-8")
        except (httptools.HttpParserError, httptools.HttpParserInvalidURLError, UnicodeDecodeError):
            return None
        self._is_head = False
        method = self._http.get_method().decode("ascii")
        return Head(method, path, url.query or b"", self._headers, self._keep_alive, len(data))

    def feed(self, data: bytes, body: IncomingBody) -> bool:
        """More of a chunked body; False when it is not one."""
        self._body = body
        with contextlib.suppress(httptools.HttpParserUpgrade):
            try:
                self._http.feed_data(data)
            except httptools.HttpParserError:
                return self.is_complete
        return True

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        if self._is_head:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header: one that comes again is joined by a comma (RFC 9110, 5.3)."""
        if self._is_head:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self._headers[key] = f"{self._headers[key]},{text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """The end of the head: whether the connection stays open is known now."""
        if self._is_head:
            self._keep_alive = self._http.should_keep_alive()  # behind the end of the message it is always true

    def on_body(self, body: bytes) -> None:
        """A piece of the body, freed of its chunks."""
        if self._body is not None and not self.is_complete:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The end of the request."""
        self.is_complete = True

    def on_message_begin(self) -> None:
        """The first byte of a request: behind a complete one it is the next, sent ahead."""
        self.has_more = self.is_complete
