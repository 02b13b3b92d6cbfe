"""Inputs made worse: bytes that are flipped, cut and doubled, and documents in which a value is another.

Everything is decided by a `random.Random`, so that an input is found again by its seed.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

#: What breaks readers of text: numbers that are none, names that lead away, characters that are none.
WORDS = (
    b"",
    b"\0",
    b"\n",
    b"\r\n",
    b'"',
    b"'",
    b",",
    b";",
    b"=",
    b"\\",
    b"/",
    b"..",
    b"../..",
    b"/etc/passwd",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"a.b = [",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-1",
    b"0",
    b"1" * 5000,
    b"9" * 20,
    b"18446744073709551616",
    b"-9223372036854775809",
    b"null",
    b"true",
    b'"\\ud800"',
    b"\\u0000",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\x1b[2J",
    b"\x1b]0;x\x07",
    b"=cmd|' /C calc'!A0",
    b"<script>",
    b"%00",
    b"%s%n",
    b"{0}",
    b"${x}",
    b"`id`",
    b"file:///etc/passwd",
    b"http://169.254.169.254/",
    b"gs://",
    b"s3://b@c/",
    b"a" * 70_000,
    b"-",
    b"+",
    b"\xe2\x80\xa8",
    b"2026-13-45T99:99:99Z",
    b"1e-400",
    b"0x10",
    b"1_000",
    b"inf",
    b"\xd9\xa3",
    b".5",
    b"--",
    b"bytes",
)
#: Values that a document's reader may not expect in some place.
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "x",
    "1",
    "../../x",
    "/etc/passwd",
    "a/../b",
    "a\0b",
    "\x1b[2J",
    "\ud800",
    "\u202e",
    "NaN",
    "x" * 70_000,
    "gs://b/o",
    [],
    [None],
    [[]],
    [1, "x", {}],
    {},
    {"": ""},
    {"a": {"b": []}},
    {"x": float("nan")},
)
_NUMBERS = ("<B", ">H", "<H", ">I", "<I", "<Q")
_LARGEST = 1 << 17


def mutant(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """One of the seeds, changed in one to a few places."""
    data = chance.choice(seeds)
    if chance.random() < 0.5:
        changed = _changed_document(data, chance)
        if changed is not None:
            return changed
    for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
        data = chance.choice(_STEPS)(data, seeds, chance)
    return data[:_LARGEST]


def _flip(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    del seeds
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes((data[at] ^ (1 << chance.randrange(8)),)) + data[at + 1 :]


def _other_byte(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    del seeds
    at = chance.randrange(len(data) + 1)
    return data[:at] + bytes((chance.randrange(256),)) + data[at + chance.randrange(2) :]


def _word(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    del seeds
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice(WORDS) + data[at + chance.choice((0, 0, 1, 4)) :]


def _number(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """A length or an offset of a binary file, replaced by one that is far off."""
    del seeds
    form = chance.choice(_NUMBERS)
    size = struct.calcsize(form)
    if len(data) < size:
        return data
    at = chance.randrange(len(data) - size + 1)
    top = (1 << 8 * size) - 1
    value = chance.choice((0, 1, top, top >> 1, top - 1, chance.randrange(top + 1), len(data)))
    return data[:at] + struct.pack(form, value & top) + data[at + size :]


def _cut(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    del seeds
    return data[: chance.randrange(len(data) + 1)]


def _remove(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    del seeds
    start = chance.randrange(len(data) + 1)
    return data[:start] + data[start + chance.randrange(1, 33) :]


def _double(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    del seeds
    start = chance.randrange(len(data) + 1)
    piece = data[start : start + chance.randrange(1, 65)]
    return data[:start] + piece * chance.choice((2, 2, 3, 50)) + data[start:]


def _splice(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    other = chance.choice(seeds)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


_Step = Callable[[bytes, Sequence[bytes], random.Random], bytes]
_STEPS: tuple[_Step, ...] = (_flip, _other_byte, _word, _word, _number, _cut, _remove, _double, _splice)


def _changed_document(data: bytes, chance: random.Random) -> bytes | None:
    """A JSON document (or one of several lines of JSON) with a value replaced, dropped or doubled; None for no JSON."""
    lines = data.split(b"\n")
    try:
        whole: Any = json.loads(data)
    except ValueError:
        number = chance.randrange(len(lines))
        try:
            line: Any = json.loads(lines[number])
        except ValueError:
            return None
        lines[number] = _encoded(_changed(line, chance))
        return b"\n".join(lines)
    return _encoded(_changed(whole, chance))


def _encoded(value: Any) -> bytes:
    # Half of a surrogate pair can stand in a file as an escape only.
    return json.dumps(value, ensure_ascii=True).encode()


def _changed(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.85:
        name = chance.choice(sorted(value))
        what = chance.random()
        if what < 0.1:
            return {key: inner for key, inner in value.items() if key != name}
        if what < 0.15:
            return {**value, str(chance.choice(VALUES))[:200]: chance.choice(VALUES)}
        return {**value, name: _changed(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.85:
        at = chance.randrange(len(value))
        if chance.random() < 0.15:
            return [*value[:at], *value[at + 1 :]]
        if chance.random() < 0.15:
            return [*value, value[at]]
        return [*value[:at], _changed(value[at], chance), *value[at + 1 :]]
    return chance.choice(VALUES)
