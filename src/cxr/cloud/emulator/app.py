"""The ASGI application: receives a request whole, answers it in a thread, sends the answer.

Routing works on the raw path, because object names contain %2F.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cxr.cloud.emulator.errors import ApiError
from cxr.cloud.emulator.http import Body, FileSlice, Request, Response, json_response, parse_query

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Handler = Callable[[Request], Response]

#: Bodies above this size go to a file.
MEMORY_BYTES = 8 << 20
SEND_BYTES = 256 << 10
HANDLER_THREADS = 16

log = logging.getLogger(__name__)


class Application:
    """Everything between the socket and the handlers; `handler` runs in a thread and may touch the disk."""

    def __init__(self, handler: Handler, spool_dir: Path) -> None:
        self._handler = handler
        self._spool_dir = spool_dir
        self._threads = ThreadPoolExecutor(HANDLER_THREADS, thread_name_prefix="handler")
        self._in_flight = 0
        self._last_request = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """How long no request has been in work."""
        return 0.0 if self._in_flight else time.monotonic() - self._last_request

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """One HTTP request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the emulator speaks http only, not {scope['type']}")
        self._in_flight += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._in_flight -= 1
            self._last_request = time.monotonic()

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        body = await _receive(receive, self._spool_dir)
        try:
            request = _request(scope, body)
            response = await loop.run_in_executor(self._threads, self._respond, request)
        finally:
            if body.path is not None:
                body.path.unlink(missing_ok=True)
        await self._send(response, send)

    def _respond(self, request: Request) -> Response:
        try:
            return self._handler(request)
        except ApiError as error:
            response = error.response()
            log.info("%s %s -> %d %s", request.method, request.raw_path, response.status, error)
            return response
        except Exception:
            log.exception("%s %s failed", request.method, request.raw_path)
            message = "The emulator failed; see its server.log."
            return json_response({"error": {"code": 500, "message": message, "status": "INTERNAL"}}, status=500)

    async def _send(self, response: Response, send: Send) -> None:
        body = response.body
        length = body.length if isinstance(body, FileSlice) else len(body)
        await send({"type": "http.response.start", "status": response.status, "headers": _headers(response, length)})
        if not isinstance(body, FileSlice):
            await send({"type": "http.response.body", "body": body})
            return
        loop, sent = asyncio.get_running_loop(), 0
        try:
            while sent < body.length:
                size = min(SEND_BYTES, body.length - sent)
                data = await loop.run_in_executor(self._threads, os.pread, body.descriptor, size, body.start + sent)
                if not data:
                    break
                sent += len(data)
                await send({"type": "http.response.body", "body": data, "more_body": sent < body.length})
        finally:
            os.close(body.descriptor)


async def _receive(receive: Receive, spool_dir: Path) -> Body:
    loop = asyncio.get_running_loop()
    pending, path, size = bytearray(), None, 0
    while True:
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)
        if message["type"] == "http.request":
            pending += message.get("body", b"")
            size += len(message.get("body", b""))
        complete = message["type"] == "http.request"
        if len(pending) > MEMORY_BYTES or (path is not None and not more):
            path = path or spool_dir / f"body-{uuid.uuid4().hex}"
            await loop.run_in_executor(None, _append, path, bytes(pending))
            pending.clear()
        if not more:
            return Body(bytes(pending), path, size, complete)


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(data)


def _request(scope: Mapping[str, Any], body: Body) -> Request:
    headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
    host, port = scope["server"]
    return Request(
        method=scope["method"],
        raw_path=scope["raw_path"].decode("latin-1"),
        query=parse_query(scope["query_string"]),
        headers=headers,
        body=body,
        host=headers.get("host") or f"{host}:{port}",
    )


def _headers(response: Response, length: int) -> list[tuple[bytes, bytes]]:
    headers = [(key.encode("latin-1"), str(value).encode("latin-1")) for key, value in response.headers.items()]
    if response.content_type:
        headers.append((b"content-type", response.content_type.encode("latin-1", "replace")))
    headers.append((b"content-length", str(length).encode()))
    return headers
