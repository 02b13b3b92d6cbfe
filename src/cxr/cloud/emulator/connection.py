"""One connection of a client: HTTP/1.1 in both directions, and what no web framework offers, its breaking on purpose.

Heads and chunked bodies are read by httptools; a body of known length is received into its own memory, without a copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from cxr.cloud.emulator.incoming import IncomingBody
from cxr.cloud.emulator.parsing import Head, Parser

SCRATCH_BYTES = 256 << 10
#: A longer head is refused, as the service refuses long URLs.
HEAD_BYTES = 64 << 10
#: A longer body is refused: no object has more than 5 TiB (https://cloud.google.com/storage/quotas#objects).
MAX_BODY_BYTES = (5 << 40) + (1 << 20)
#: How long a client may go on sending what nobody takes notice of, before it must have read its answer.
LINGER_SECONDS = 30
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in http.HTTPStatus}


class Exchange:
    """One request and its answer: `sent` bytes of it so far. `note` is what the application remembers about it."""

    __slots__ = ("body", "connection", "head", "note", "sent")

    def __init__(self, connection: Connection, head: Head, body: IncomingBody) -> None:
        self.connection = connection
        self.head = head
        self.body = body
        self.sent = 0
        self.note: Any = None


class Server(Protocol):
    """What a connection asks of the program behind it. All calls come from the event loop's thread."""

    connections: set[Connection]
    spool_dir: Path
    is_stopping: bool

    def on_head(self, exchange: Exchange) -> None:
        """A request has begun."""

    def on_body(self, exchange: Exchange) -> None:
        """More of the body has arrived; called only while `Connection.watch_body` is set."""

    def on_request(self, exchange: Exchange, complete: bool) -> None:
        """The body has arrived, or the client has gone before its end."""

    def on_end_of_input(self, exchange: Exchange) -> bool:
        """The client will send no more; whether it is to get its answer all the same."""

    def on_lost(self, exchange: Exchange) -> None:
        """The client went away, or was sent away, before it had its answer."""


class Connection(asyncio.BufferedProtocol):
    """The protocol of one socket: one exchange at a time; what a client sends too early waits."""

    _scratch = bytearray(SCRATCH_BYTES)

    def __init__(self, server: Server) -> None:
        self.watch_body = False
        self.is_lost = False
        self._server = server
        self._transport: asyncio.Transport
        self._early = bytearray()
        self._exchange: Exchange | None = None
        self._receiving = False
        self._ignoring = False
        self._input_ended = False
        self._parser: Parser | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by whomever."""
        self.is_lost = True
        self._server.connections.discard(self)
        self._writable.set()
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        if self._receiving and not self._ignoring:
            self._receiving = False
            self._server.on_request(exchange, complete=False)
        else:
            self._server.on_lost(exchange)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where asyncio puts what it receives: the body itself, or a scratch area that all connections share."""
        if self._receiving and not self._ignoring and self._exchange is not None and self._exchange.body.missing:
            return self._exchange.body.space()
        return memoryview(self._scratch)

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have been put there."""
        if self._ignoring:
            return
        exchange = self._exchange
        if self._receiving and exchange is not None and exchange.body.missing:
            exchange.body.filled(nbytes)
            self._body_grew(exchange)
        elif self._receiving:
            self._feed_chunked(bytes(memoryview(self._scratch)[:nbytes]))
        else:
            self._early += memoryview(self._scratch)[:nbytes]
            if exchange is None:
                self._next_request()
            elif len(self._early) > HEAD_BYTES:
                self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client has closed its side: it may still wait for the answer to what it has sent completely."""
        self._input_ended = True
        exchange = self._exchange
        if exchange is None:
            return bool(self._early) and not self._writable.is_set()
        return not self._receiving and self._server.on_end_of_input(exchange)

    def pause_writing(self) -> None:
        """The client is slow."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable.set()
        self._go_on()

    # What the application calls.

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""
        return self._exchange is not None

    @property
    def receiving(self) -> Exchange | None:
        """The exchange whose body is still to come."""
        return self._exchange if self._receiving else None

    def send(self, status: int, headers: Sequence[tuple[str, str]], body: bytes | bytearray = b"") -> None:
        """The head of an answer and the beginning (or all) of its body; `finish` ends it."""
        lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in headers]
        if self._is_last():
            lines.append("Connection: close\r\n")
        lines.append("\r\n")
        self._write("".join(lines).encode("latin-1", "replace") + body)

    async def send_more(self, data: bytes) -> None:
        """More of the body; waits for a slow client."""
        self._write(data)
        await self._writable.wait()

    def finish(self) -> None:
        """The answer is complete: the next request may come."""
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        if self._ignoring:
            return  # the client still sends: it reads the answer when it is through, and closes
        if not exchange.head.keep_alive or self._server.is_stopping or (self._input_ended and not self._early):
            self.close()
        elif self._early and self._writable.is_set():
            self._go_on()

    def ignore_rest(self) -> None:
        """Take no more notice of what the client sends; the connection ends with this answer."""
        self._ignoring = True
        self._receiving = False
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._end_of_ignoring)

    def pause(self) -> None:
        """Receive nothing for the time being."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Receive again."""
        if not self.is_lost:
            self._transport.resume_reading()

    def close(self) -> None:
        """Close when everything that was written has been sent."""
        self._transport.close()

    def reset(self) -> None:
        """Close at once, so that the client sees a reset connection (TCP RST)."""
        self._receiving = False
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _is_last(self) -> bool:
        exchange = self._exchange
        return self._ignoring or self._server.is_stopping or (exchange is not None and not exchange.head.keep_alive)

    def _end_of_ignoring(self) -> None:
        if self._exchange is None:
            self.close()
        else:
            self._ignoring, self._exchange.head.keep_alive = False, False

    # Reading.

    def _go_on(self) -> None:
        if self._early and self._exchange is None and not self.is_lost:
            self._transport.resume_reading()
            asyncio.get_running_loop().call_soon(self._next_request)

    def _write(self, data: bytes) -> None:
        if not self.is_lost:
            if self._exchange is not None:
                self._exchange.sent += len(data)
            self._transport.write(data)

    def _next_request(self) -> None:
        if self._exchange is not None or self.is_lost or self._ignoring:
            return
        while self._early[:2] == b"\r\n":
            del self._early[:2]
        end = self._early.find(b"\r\n\r\n")
        if end > HEAD_BYTES or (end < 0 and len(self._early) > HEAD_BYTES):
            self._refuse(431)
        elif end < 0 and self._input_ended:
            self.close()
        if end < 0 or self._ignoring:
            return
        head_bytes = bytes(memoryview(self._early)[: end + 4])
        del self._early[: end + 4]
        self._parser = Parser()
        head = self._parser.head(head_bytes)
        if head is None or ((length := head.body_length) is not None and length > MAX_BODY_BYTES):
            self._refuse(400)
            return
        exchange = Exchange(self, head, IncomingBody(length, self._server.spool_dir))
        self._exchange = exchange
        self._receiving = True
        self.watch_body = False
        self._server.on_head(exchange)
        if self._exchange is not exchange or not self._receiving:
            return
        if head.headers.get("expect", "").lower() == "100-continue":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        early, self._early = self._early, bytearray()
        if length is None:
            self._feed_chunked(bytes(early))
            return
        taken = exchange.body.append(early)
        self._early = early[taken:]
        self._body_grew(exchange)

    def _feed_chunked(self, data: bytes) -> None:
        exchange, parser = self._exchange, self._parser
        if exchange is None or parser is None:
            return
        if data and not parser.feed(data, exchange.body):
            self._refuse(400)
            return
        if parser.is_complete:
            exchange.head.keep_alive = exchange.head.keep_alive and not parser.has_more
        self._body_grew(exchange, parser.is_complete)

    def _body_grew(self, exchange: Exchange, chunks_complete: bool = False) -> None:
        if self.watch_body:
            self._server.on_body(exchange)
            if not self._receiving:
                return
        if chunks_complete or (exchange.body.length is not None and not exchange.body.missing):
            self._receiving = False
            self._server.on_request(exchange, complete=True)

    def _refuse(self, status: int) -> None:
        exchange, self._exchange = self._exchange, None
        self._receiving, self._ignoring = False, True
        if exchange is not None:
            self._server.on_request(exchange, complete=False)
        self.send(status, [("Content-Length", "0")])
        self.close()
