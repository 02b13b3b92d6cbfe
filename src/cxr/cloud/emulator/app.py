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
from cxr.cloud.emulator.control import PREFIX, RequestCounts, control, refusal, refused_client
from cxr.cloud.emulator.errors import ApiError, failed, failure, fault_response
from cxr.cloud.emulator.faults import INSTRUCTIONS_HEADER, Fault, FaultError, Faults, Subject, instructed
from cxr.cloud.emulator.http import Body, FileSlice, Request, Response, decoded_target, parse_query
from cxr.cloud.emulator.incoming import BEGINNING_BYTES, damage
from cxr.cloud.emulator.operation_names import moves_bytes, operation_name

HANDLER_THREADS = 16
#: Requests that only wait for something may be many, and keep no other from its thread.
WAITING_THREADS = 256
#: Predictions take as long as the programs that make them: they keep each other waiting, and nobody else.
PREDICTING_THREADS = 32

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
    """What is remembered of an exchange.

    `undecided`: a rule waits for the object's name, which is in the body. `held_until`: not to be carried out before.
    `is_working`: a handler may still read the body. `progress`: how much of it had come, and when that was seen.
    """

    request: Request
    operation: str
    counts: bool
    fault: Fault | None = None
    latency: float = 0.0
    undecided: bool = False
    refused: Response | None = None
    delayed: asyncio.TimerHandle | None = None
    held_until: float = 0.0
    is_working: bool = False
    progress: tuple[int, float] = (-1, 0.0)
    is_over: bool = False


class Application:
    """All connections of one server."""

    def __init__(self, handler: Handler, spool_dir: Path) -> None:
        self.connections: set[Connection] = set()
        self.spool_dir = spool_dir
        self.is_stopping = False
        self._handler = handler
        self._faults = Faults()
        self._counts = RequestCounts()
        self._threads = ThreadPoolExecutor(HANDLER_THREADS, thread_name_prefix="handler")
        self._waiting_threads = ThreadPoolExecutor(WAITING_THREADS, thread_name_prefix="waiting")
        self._predicting_threads = ThreadPoolExecutor(PREDICTING_THREADS, thread_name_prefix="predicting")
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._last_request = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """How long no request has been in work; one whose body does not go on coming is none."""
        now, since, halted = time.monotonic(), self._last_request, 0
        for exchange in [connection.receiving for connection in self.connections]:
            if exchange is not None:
                if exchange.note.progress[0] != exchange.body.received:
                    exchange.note.progress = (exchange.body.received, now)
                since, halted = max(since, exchange.note.progress[1]), halted + 1
        return now - since if halted == self._in_flight else 0.0

    async def close(self, grace_seconds: float) -> None:
        """Let requests under way end, each with its connection, then cut all connections."""
        deadline = time.monotonic() + grace_seconds
        self.is_stopping = True
        for connection in list(self.connections):
            if not connection.is_busy:
                connection.close()
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
        is_own, operation = head.path.startswith(PREFIX), "other"
        query: dict[str, str] = {}
        refused = refused_client(head.headers)
        try:
            query = parse_query(head.query) if head.query else {}
            host = head.headers.get("host", "")
            request = Request(head.method, head.path, query, head.headers, Body(), host, head.query)
            operation = operation_name(head.method, request.segments)
        except ValueError:
            request = Request(head.method, head.path, query, head.headers, Body(), "")
            refused = refused or refusal(400, "The path or the query is not percent-encoded UTF-8.")
        if head.has_no_length and refused is None:
            refused = refusal(411, "A Content-Length is needed.")
        note = exchange.note = _Note(request, operation, counts=not is_own, refused=refused)
        if is_own or refused is not None:
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
            self._decide(exchange, exchange.body.beginning())
        if note.fault is not None:
            self._watch(exchange)
        elif not note.undecided:
            exchange.connection.watch_body = False

    def on_request(self, exchange: Exchange, complete: bool) -> None:
        """The request is there, or the client has gone in the middle of it."""
        note = exchange.note
        note.request = note.request.with_body(exchange.body.finish())
        if not complete and ("upload_id" not in note.request.query or exchange.body.failed):
            self._end(exchange)
            return
        if exchange.body.failed:
            note.refused = note.refused or failure(507, note.operation, "The body could not be stored.")
        if note.undecided and complete:
            self._decide(exchange, exchange.body.beginning(), last=True)
        if complete and note.fault is not None and self._breaks_before(exchange, note.fault):
            return
        delay = note.latency
        if note.held_until:
            exchange.connection.resume()
            delay = max(delay, note.held_until - asyncio.get_running_loop().time())
        if delay > 0:
            note.delayed = asyncio.get_running_loop().call_later(delay, self._dispatch, exchange)
        else:
            self._dispatch(exchange)

    def on_end_of_input(self, exchange: Exchange) -> bool:
        """The client sends no more: what is under way is answered, one that is made to wait counts as gone."""
        return exchange.note.fault is None and exchange.note.delayed is None

    def on_lost(self, exchange: Exchange) -> None:
        """The client is gone; what is under way goes on without it, and what only waits need not wait any more."""
        note = exchange.note
        if note.delayed is not None:
            note.delayed.cancel()
            self._dispatch(exchange)
        elif note.fault is not None and not note.is_working:
            self._end(exchange)

    # Faults before the request is carried out.

    def _decide(self, exchange: Exchange, beginning: bytes, last: bool = False) -> None:
        note = exchange.note
        name = self._handler.object_of(note.request, beginning) if self._faults.needs_object else None
        body = exchange.body
        unknown = name is None and self._faults.needs_object and body.length != 0
        note.undecided = unknown and not last and note.operation == "storage.objects.insert"
        if note.undecided and body.received < BEGINNING_BYTES:
            return
        note.undecided = False
        target = decoded_target(exchange.head.path, exchange.head.query)
        request = note.request
        moves = moves_bytes(request.method, request.segments, request.query)
        subject = Subject(request.method, target, note.operation, name, body.length, moves)
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
        loop = asyncio.get_running_loop()
        if fault.goes_on:
            connection.pause()
            loop.call_later(fault.seconds, connection.resume)
            note.fault, note.held_until = None, loop.time() + fault.seconds
            return
        if fault.action not in {"status", "reset", "stall"}:
            return
        connection.ignore_rest()
        if fault.action == "stall":
            connection.pause()
        if "upload_id" not in note.request.query or not limit:
            self._break(exchange, fault)
            return
        # The service keeps of a piece what it has received, in multiples of 256 KiB.
        note.request, note.is_working = note.request.with_body(exchange.body.finish(limit)), True
        future = self._threads.submit(self._respond, note.request, note.operation)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._break, exchange, fault))

    def _breaks_before(self, exchange: Exchange, fault: Fault) -> bool:
        """Whether the request is not to be carried out now, because of a fault that comes before that."""
        has_body = exchange.body.length != 0
        if fault.after or (fault.after_bytes is not None and not has_body):
            return False
        if fault.action == "corrupt" and has_body:
            request = exchange.note.request
            damage(request.body, request.headers.get("content-type", "").startswith("multipart/"))
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
        exchange.note.is_working = False
        if fault.action == "stall" and not exchange.connection.is_lost:
            asyncio.get_running_loop().call_later(fault.seconds, self._reset, exchange)
        elif fault.action != "status":
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
        try:
            self._carry_out(exchange)
        except Exception:
            log.exception("%s %s could not be answered", exchange.head.method, exchange.head.path)
            self._reset(exchange)

    def _carry_out(self, exchange: Exchange) -> None:
        note = exchange.note
        note.delayed, note.is_working = None, True
        request: Request = note.request
        if note.refused is not None:
            self._answer(exchange, note.refused)
        elif not note.counts and (own := control(request, self._faults, self._counts)) is not None:
            self._answer(exchange, own)
        elif self._handler.is_quick(request):
            self._answer(exchange, self._respond(request, note.operation))
        else:
            self._start(self._dispatch_to_thread(exchange, request))

    async def _dispatch_to_thread(self, exchange: Exchange, request: Request) -> None:
        operation = exchange.note.operation
        verb = operation.rpartition(".")[2]
        threads = {"wait": self._waiting_threads, "predict": self._predicting_threads}.get(verb, self._threads)
        response = await asyncio.get_running_loop().run_in_executor(threads, self._respond, request, operation)
        try:
            self._answer(exchange, response)
        except Exception:
            log.exception("%s %s could not be answered", request.method, request.raw_path)
            self._reset(exchange)

    def _respond(self, request: Request, operation: str) -> Response:
        try:
            return self._handler.handle(request)
        except ApiError as error:
            response = error.response()
            log.info("%s %s -> %d %s", request.method, request.raw_path, response.status, error)
            return response
        except Exception as error:
            log.exception("%s %s failed", request.method, request.raw_path)
            return failed(error, operation, self.spool_dir.parent)

    def _answer(self, exchange: Exchange, response: Response) -> None:
        exchange.note.is_working = False
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
            sending = send_faulty(exchange, response, fault, self._threads)
            self._start(self._send_in_task(exchange, response, sending))

    def _break_afterwards(self, exchange: Exchange, response: Response, fault: Fault) -> None:
        _close(response)
        if fault.action == "stall":
            asyncio.get_running_loop().call_later(fault.seconds, self._hang_up, exchange)
        else:
            self._break(exchange, fault)

    def _send(self, exchange: Exchange, response: Response) -> None:
        if isinstance(response.body, FileSlice):
            sending = send_streamed(exchange, response, self._threads)
            self._start(self._send_in_task(exchange, response, sending))
            return
        send_whole(exchange, response)
        self._end(exchange)

    async def _send_in_task(self, exchange: Exchange, response: Response, sending: Coroutine[Any, Any, None]) -> None:
        try:
            await sending
        except Exception:
            log.exception("the answer to %s %s could not be sent", exchange.head.method, exchange.head.path)
            exchange.connection.reset()
        finally:
            _close(response)
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


def _close(response: Response) -> None:
    if isinstance(response.body, FileSlice):
        os.close(response.body.descriptor)
