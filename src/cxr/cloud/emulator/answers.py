"""Answers on their way out: whole, from a file, in part, byte by byte."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import Executor

from cxr.cloud.emulator.connection import Exchange
from cxr.cloud.emulator.faults import Fault
from cxr.cloud.emulator.http import FileSlice, Response

SEND_BYTES = 256 << 10


def send_whole(exchange: Exchange, response: Response) -> None:
    """An answer that is in memory."""
    body = response.body
    assert not isinstance(body, FileSlice)
    is_head = exchange.head.method == "HEAD"
    exchange.connection.send(response.status, _headers(response, len(body)), b"" if is_head else body)
    exchange.connection.finish()


async def send_streamed(exchange: Exchange, response: Response, threads: Executor) -> None:
    """An answer from a file, at the client's pace."""
    connection, length = exchange.connection, _length(response)
    connection.send(response.status, _headers(response, length))
    sent = 0
    async for piece in _pieces(response, threads):
        await connection.send_more(piece)
        sent += len(piece)
        if connection.is_lost:
            return
    if sent < length:
        connection.close()
    else:
        connection.finish()


async def send_faulty(exchange: Exchange, response: Response, fault: Fault, threads: Executor) -> None:
    """An answer with the fault done to it: corrupt, trickle, or (reset, status, stall) broken off."""
    if exchange.head.method == "HEAD":
        send_whole(exchange, response)
        return
    connection, length = exchange.connection, _length(response)
    limit = length if fault.after_bytes is None else min(fault.after_bytes, max(0, length - 1))
    broken = fault.action in {"reset", "status", "stall"}
    connection.send(response.status, _headers(response, length))
    sent = 0
    async for piece in _pieces(response, threads):
        data = piece
        if fault.action == "corrupt" and sent == 0:
            data = bytes((piece[0] ^ 0xFF,)) + piece[1:]
        if fault.action == "trickle":
            await _trickle(exchange, data, fault.seconds)
        elif broken and sent <= limit < sent + len(data):
            await connection.send_more(data[: limit - sent])
            if fault.action == "stall":
                await asyncio.sleep(fault.seconds)
            if not fault.goes_on:
                connection.close()
                return
            await connection.send_more(data[limit - sent :])
        else:
            await connection.send_more(data)
        sent += len(data)
        if connection.is_lost:
            return
    connection.finish()


async def _trickle(exchange: Exchange, data: bytes, seconds: float) -> None:
    for index in range(len(data)):
        await exchange.connection.send_more(data[index : index + 1])
        await asyncio.sleep(seconds)
        if exchange.connection.is_lost:
            return


async def _pieces(response: Response, threads: Executor) -> AsyncIterator[bytes]:
    body = response.body
    if not isinstance(body, FileSlice):
        if body:
            yield body
        return
    loop, sent = asyncio.get_running_loop(), 0
    while sent < body.length:
        size = min(SEND_BYTES, body.length - sent)
        data = await loop.run_in_executor(threads, os.pread, body.descriptor, size, body.start + sent)
        if not data:
            break
        sent += len(data)
        yield data


def _length(response: Response) -> int:
    return response.body.length if isinstance(response.body, FileSlice) else len(response.body)


def _headers(response: Response, length: int) -> list[tuple[str, str]]:
    headers = [(name, _one_line(str(value))) for name, value in response.headers.items()]
    if response.content_type:
        headers.append(("Content-Type", _one_line(str(response.content_type))))
    if "Content-Length" not in response.headers and response.status not in {204, 304}:
        headers.append(("Content-Length", str(length)))
    return headers


def _one_line(text: str) -> str:
    # What a client stored as an object's type or disposition may not make headers of its own.
    return text if text.isprintable() else "".join(letter for letter in text if letter.isprintable())
