"""Requests and responses as the handlers see them: whole, immutable, with names decoded segment by segment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body: in memory when small, in a file (removed by the server afterwards) when large.

    `complete` is False when the client went away before the end.
    """

    data: bytes | bytearray = b""
    path: Path | None = None
    size: int = 0
    complete: bool = True

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        """The bytes from `start` to `end` (exclusive)."""
        if self.path is None:
            return bytes(memoryview(self.data)[start : self.size if end is None else min(end, self.size)])
        return b"".join(self.chunks(start, end))

    def chunks(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `start` to `end` (exclusive), at most one MiB at a time."""
        stop = self.size if end is None else min(end, self.size)
        if self.path is None:
            if stop > start:
                yield bytes(memoryview(self.data)[start:stop])
            return
        with self.path.open("rb") as stream:
            stream.seek(start)
            while start < stop and (chunk := stream.read(min(CHUNK_BYTES, stop - start))):
                start += len(chunk)
                yield chunk

    def find(self, text: bytes, start: int = 0, end: int | None = None) -> int:
        """Where `text` is between `start` and `end`; -1 when it is not there."""
        if self.path is None:
            return self.data.find(text, start, self.size if end is None else min(end, self.size))
        found = self.read(start, end).find(text)
        return found if found < 0 else start + found


@dataclass(frozen=True)
class Request:
    """One request. `segments` are the decoded parts of the path: an object name with %2F in it is one segment."""

    method: str
    raw_path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Body
    host: str
    raw_query: bytes = b""

    def with_body(self, body: Body) -> Request:
        """The same request with another body."""
        return Request(self.method, self.raw_path, self.query, self.headers, body, self.host, self.raw_query)

    def values(self, name: str) -> list[str]:
        """All values of a parameter that may be repeated."""
        pairs = parse_qsl(self.raw_query.decode("utf-8"), keep_blank_values=True, errors="strict")
        return [value for key, value in pairs if key == name]

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path's parts, each decoded on its own."""
        return path_segments(self.raw_path)

    @property
    def base_url(self) -> str:
        """The origin under which the client reached this server."""
        return f"http://{self.host}"


@dataclass(frozen=True, slots=True)
class FileSlice:
    """A piece of a file to be sent: the open descriptor is closed by whoever sends it."""

    descriptor: int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Response:
    """One response: bytes, or a slice of a file."""

    status: int = 200
    body: bytes | FileSlice = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str | None = "application/json; charset=UTF-8"


def json_response(payload: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with a JSON body."""
    return Response(status, json.dumps(payload, ensure_ascii=False).encode(), headers or {})


def parse_json(data: bytes) -> Any:
    """A client's JSON. Raises ValueError, also for what is nested too deeply and for text that no UTF-8 can hold."""
    text = data.decode("utf-8")
    try:
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair could be stored and never be sent
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def path_segments(raw_path: str) -> tuple[str, ...]:
    """A path's parts, each decoded on its own. Raises ValueError for what is not UTF-8."""
    parts = raw_path.strip("/").split("/")
    return tuple(unquote(part, errors="strict") if "%" in part else part for part in parts)


def parse_query(raw: bytes) -> dict[str, str]:
    """The query's parameters; of a repeated one, the first. Raises ValueError for what is not UTF-8."""
    query: dict[str, str] = {}
    for key, value in parse_qsl(raw.decode("utf-8"), keep_blank_values=True, errors="strict"):
        query.setdefault(key, value)
    return query


def decoded_target(raw_path: str, query: bytes) -> str:
    """Path and query as a person would write them."""
    text = f"{raw_path}?{query.decode('utf-8')}" if query else raw_path
    return unquote(text)
