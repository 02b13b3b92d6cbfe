"""A request's life between the socket and the handlers: counted, perhaps delayed or broken on request, answered.

Small storage requests are answered by the event loop itself, because handing one over to a thread costs more than
answering it; everything else is answered in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cxr.cloud.emulator.answers import send_faulty, send_streamed, send_whole
from cxr.cloud.emulator.connection import Connection, Exchange
from cxr.cloud.emulator.control import PREFIX, RequestCounts, control, refusal
from cxr.cloud.emulator.errors import ApiError, fault_response
from cxr.cloud.emulator.faults import INSTRUCTIONS_HEADER, Fault, FaultError, Faults, Subject, instructed
from cxr.cloud.emulator.http import Body, FileSlice, Request, Response, decoded_target, json_response, parse_query
from cxr.cloud.emulator.operation_names import operation_name

HANDLER_THREADS = 16
#: So much of a body is looked at for the object's name before a rule is decided without it.
NAME_BYTES = 64 << 10

log = logging.getLogger(__name__)


class Handler(Protocol):
    """What answers requests; `handle` may be called from any thread."""

    def handle(self, request: Request) -> Response:
        """The answer. Raises ApiError."""

    def is_quick(self, request: Request) -> bool:
        """Whether the answer takes less than handing the request over to a thread."""

    def object_of(self, request: Request, beginning: bytes) -> str | None:
        """`BUCKET/NAME` of the object that a request is about; `beginning` is what is known of its body."""


@dataclass(slots=True)
class _Note:
    """What is remembered of an exchange. `undecided`: a rule waits for the object's name, which is in the body."""

    request: Request
    operation: str
    counts: bool
    fault: Fault | None = None
    latency: float = 0.0
    undecided: bool = False
    refused: Response | None = None
    delayed: asyncio.TimerHandle | None = None
    is_over: bool = False


class Application:
    """All connections of one server."""

    def __init__(self, handler: Handler, spool_dir: Path) -> None:
        self.connections: set[Connection] = set()
        self.spool_dir = spool_dir
        self._handler = handler
        self._faults = Faults()
        self._counts = RequestCounts()
        self._threads = ThreadPoolExecutor(HANDLER_THREADS, thread_name_prefix="handler")
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._last_request = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """How long no request has been in work."""
        return 0.0 if self._in_flight else time.monotonic() - self._last_request

    async def close(self, grace_seconds: float) -> None:
        """Let requests under way end, then cut all connections."""
        deadline = time.monotonic() + grace_seconds
        while self._in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.close()
        for task in self._tasks:
            task.cancel()

    # What connections call.

    def on_connection(self) -> Connection:
        """A client connects."""
        self._counts.connections += 1
        return Connection(self)

    def on_head(self, exchange: Exchange) -> None:
        """Note what the request is, and decide what goes wrong with it as far as that can be known."""
        self._in_flight += 1
        head = exchange.head
        query = parse_query(head.query) if head.query else {}
        host = head.headers.get("host", "")
        request = Request(head.method, head.path, query, head.headers, Body(), host)
        is_own = head.path.startswith(PREFIX)
        note = _Note(request, operation_name(head.method, request.segments, query), counts=not is_own)
        exchange.note = note
        if is_own:
            return
        instruction = head.headers.get(INSTRUCTIONS_HEADER)
        if instruction:
            try:
                note.fault = instructed(instruction)
            except FaultError as error:
                note.refused = refusal(400, str(error))
        elif self._faults.rules:
            self._decide(exchange, b"")
        note.latency += self._faults.latency_seconds
        if note.fault is not None or note.undecided:
            self._watch(exchange)

    def on_body(self, exchange: Exchange) -> None:
        """More has come of a body that a rule or a fault waits for."""
        note = exchange.note
        if note.undecided:
            self._decide(exchange, bytes(exchange.body.so_far()[:NAME_BYTES]))
        if note.fault is not None:
            self._watch(exchange)
        elif not note.undecided:
            exchange.connection.watch_body = False

    def on_request(self, exchange: Exchange, complete: bool) -> None:
        """The request is there, or the client has gone in the middle of it."""
        note = exchange.note
        note.request = _with_body(note.request, exchange.body.finish())
        if not complete and "upload_id" not in note.request.query:
            self._end(exchange)
            return
        if note.undecided and complete:
            self._decide(exchange, note.request.body.read(0, NAME_BYTES), last=True)
        if complete and note.fault is not None and self._breaks_before(exchange, note.fault):
            return
        if note.latency:
            note.delayed = asyncio.get_running_loop().call_later(note.latency, self._dispatch, exchange)
        else:
            self._dispatch(exchange)

    def on_lost(self, exchange: Exchange) -> None:
        """The client is gone; what is under way goes on without it, and what only waits need not wait any more."""
        note = exchange.note
        if note.delayed is not None:
            note.delayed.cancel()
            self._dispatch(exchange)
        elif note.fault is not None:
            self._end(exchange)

    # Faults before the request is carried out.

    def _decide(self, exchange: Exchange, beginning: bytes, last: bool = False) -> None:
        note = exchange.note
        name = self._handler.object_of(note.request, beginning) if self._faults.needs_object else None
        body = exchange.body
        unknown = name is None and self._faults.needs_object and body.length != 0
        note.undecided = unknown and not last and note.operation == "storage.objects.insert"
        if note.undecided and body.received < NAME_BYTES:
            return
        note.undecided = False
        target = decoded_target(exchange.head.path, exchange.head.query)
        subject = Subject(exchange.head.method, target, note.operation, name, body.length, _moves_bytes(note.request))
        latency, note.fault = self._faults.choose(subject)
        note.latency += latency

    def _watch(self, exchange: Exchange) -> None:
        """Break the request off when it is due, otherwise see to it that the next bytes are looked at."""
        fault, body, connection = exchange.note.fault, exchange.body, exchange.connection
        if fault is None:
            connection.watch_body = True
            return
        due = 0 if fault.action == "reset" and fault.after_bytes is None else fault.after_bytes
        connection.watch_body = body.length != 0 and due is not None and not fault.after
        if connection.watch_body and due is not None and body.received >= due:
            connection.watch_body = False
            self._break_off(exchange, fault, due)

    def _break_off(self, exchange: Exchange, fault: Fault, limit: int) -> None:
        connection, note = exchange.connection, exchange.note
        if fault.action == "stall":
            connection.pause()
            ending = connection.resume if fault.goes_on else connection.reset
            asyncio.get_running_loop().call_later(fault.seconds, ending)
            note.fault = None if fault.goes_on else fault
            return
        if fault.action not in {"status", "reset"}:
            return
        connection.ignore_rest()
        if "upload_id" not in note.request.query or not limit:
            self._break(exchange, fault)
            return
        # The service keeps of a piece what it has received, in multiples of 256 KiB.
        note.request = _with_body(note.request, exchange.body.finish(limit))
        future = self._threads.submit(self._respond, note.request)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._break, exchange, fault))

    def _breaks_before(self, exchange: Exchange, fault: Fault) -> bool:
        """Whether the request is not to be carried out now, because of a fault that comes before that."""
        has_body = exchange.body.length != 0
        if fault.after or (fault.after_bytes is not None and not has_body):
            return False
        if fault.action == "corrupt" and has_body:
            _damage(exchange.note.request)
            exchange.note.fault = None
            return False
        loop = asyncio.get_running_loop()
        if fault.action == "stall":
            exchange.note.fault = None if fault.goes_on else fault
            loop.call_later(fault.seconds, self._dispatch if fault.goes_on else self._hang_up, exchange)
            return True
        if fault.action in {"status", "reset"}:
            loop.call_later(exchange.note.latency, self._break, exchange, fault)
            return True
        return False

    def _break(self, exchange: Exchange, fault: Fault) -> None:
        if fault.action == "reset":
            self._reset(exchange)
        else:
            self._send(exchange, fault_response(fault.status, fault.retry_after, exchange.note.operation))

    def _reset(self, exchange: Exchange) -> None:
        exchange.connection.reset()
        self._end(exchange)

    def _hang_up(self, exchange: Exchange) -> None:
        exchange.connection.close()
        self._end(exchange)

    # Carrying out and answering.

    def _dispatch(self, exchange: Exchange) -> None:
        note = exchange.note
        note.delayed = None
        request: Request = note.request
        if note.refused is not None:
            self._answer(exchange, note.refused)
        elif not note.counts and (own := control(request, self._faults, self._counts)) is not None:
            self._answer(exchange, own)
        elif self._handler.is_quick(request):
            self._answer(exchange, self._respond(request))
        else:
            self._start(self._dispatch_to_thread(exchange, request))

    async def _dispatch_to_thread(self, exchange: Exchange, request: Request) -> None:
        loop = asyncio.get_running_loop()
        self._answer(exchange, await loop.run_in_executor(self._threads, self._respond, request))

    def _respond(self, request: Request) -> Response:
        try:
            return self._handler.handle(request)
        except ApiError as error:
            response = error.response()
            log.info("%s %s -> %d %s", request.method, request.raw_path, response.status, error)
            return response
        except Exception:
            log.exception("%s %s failed", request.method, request.raw_path)
            message = "The emulator failed; see its server.log."
            return json_response({"error": {"code": 500, "message": message, "status": "INTERNAL"}}, status=500)

    def _answer(self, exchange: Exchange, response: Response) -> None:
        fault = exchange.note.fault
        if exchange.connection.is_lost:
            _close(response)
            self._end(exchange)
        elif fault is None:
            self._send(exchange, response)
        elif fault.after:
            self._break_afterwards(exchange, response, fault)
        elif fault.action == "reset" and not fault.after_bytes:
            _close(response)
            self._reset(exchange)
        else:
            self._start(self._send_in_task(exchange, send_faulty(exchange, response, fault, self._threads)))

    def _break_afterwards(self, exchange: Exchange, response: Response, fault: Fault) -> None:
        _close(response)
        if fault.action in {"status", "reset"}:
            self._break(exchange, fault)
        elif fault.action == "stall":
            asyncio.get_running_loop().call_later(fault.seconds, self._hang_up, exchange)
        else:
            self._start(self._send_in_task(exchange, send_faulty(exchange, response, fault, self._threads)))

    def _send(self, exchange: Exchange, response: Response) -> None:
        if isinstance(response.body, FileSlice):
            self._start(self._send_in_task(exchange, send_streamed(exchange, response, self._threads)))
            return
        send_whole(exchange, response)
        self._end(exchange)

    async def _send_in_task(self, exchange: Exchange, sending: Coroutine[Any, Any, None]) -> None:
        try:
            await sending
        finally:
            self._end(exchange)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self, exchange: Exchange) -> None:
        note = exchange.note
        if note.is_over:
            return
        note.is_over = True
        self._in_flight -= 1
        self._last_request = time.monotonic()
        exchange.body.drop()
        if note.counts:
            self._counts.operations[note.operation] += 1
            self._counts.bytes_received += exchange.head.size + exchange.body.received
            self._counts.bytes_sent += exchange.sent


def _moves_bytes(request: Request) -> bool:
    query = request.query
    if request.segments[0] == "upload":
        return request.method != "DELETE" and (query.get("uploadType") != "resumable" or "upload_id" in query)
    return request.segments[0] == "download" or query.get("alt") == "media"


def _with_body(request: Request, body: Body) -> Request:
    return Request(request.method, request.raw_path, request.query, request.headers, body, request.host)


def _damage(request: Request) -> None:
    """Change one byte of what is uploaded, as if it had happened on the way."""
    body = request.body
    tail_start = max(0, body.size - 1024)
    tail = body.read(tail_start)
    is_multipart = request.headers.get("content-type", "").startswith("multipart/")
    position = tail.rfind(b"\r\n--") - 1 if is_multipart else len(tail) - 1
    if position < 0:
        return
    changed = bytes((tail[position] ^ 0xFF,))
    if body.path is None:
        assert isinstance(body.data, bytearray)
        body.data[tail_start + position] = changed[0]
        return
    with body.path.open("r+b") as stream:
        stream.seek(tail_start + position)
        stream.write(changed)


def _close(response: Response) -> None:
    if isinstance(response.body, FileSlice):
        os.close(response.body.descriptor)
