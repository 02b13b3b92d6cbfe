"""tf.train.Example in protobuf's wire format, written and read without TensorFlow.

    Example   { Features features = 1; }
    Features  { map<string, Feature> feature = 1; }   each entry is a message { string key = 1; Feature value = 2; }
    Feature   { oneof { BytesList bytes_list = 1; FloatList float_list = 2; Int64List int64_list = 3; } }
    BytesList { repeated bytes value = 1; }           Int64List { repeated int64 value = 1 [packed = true]; }

Sources: tensorflow/core/example/{example,feature}.proto and protobuf's "Encoding" page. The entries are in the order of
their keys, as protobuf's deterministic serialisation writes them. Only what shards hold is read: one value a feature,
bytes or an integer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cxr.errors import InputError

#: A feature's value: bytes, or an int64.
Value = bytes | int

_DELIMITED: Final = 2
_UINT64: Final = (1 << 64) - 1


def encode_example(features: Mapping[str, Value]) -> bytes:
    """A tf.train.Example with these features, sorted by name. Raises OverflowError for an integer beyond int64."""
    entries = (
        _delimited(1, _delimited(1, name.encode()) + _delimited(2, _feature(value)))
        for name, value in sorted(features.items(), key=lambda item: item[0].encode())
    )
    return _delimited(1, b"".join(entries))


def decode_example(data: bytes) -> dict[str, Value]:
    """The features of a tf.train.Example with one value each. Raises InputError for bytes that are none."""
    try:
        found: dict[str, Value] = {}
        for features in _messages(memoryview(data), 1):
            for entry in _messages(features, 1):
                (name,), (feature,) = _messages(entry, 1), _messages(entry, 2)
                found[bytes(name).decode()] = _value(feature)
        return found
    except (ValueError, IndexError) as error:
        raise InputError(f"not a tf.train.Example with one value a feature: {error}") from error


def _feature(value: Value) -> bytes:
    if isinstance(value, bytes):
        return _delimited(1, _delimited(1, value))
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError(f"{value} does not fit into an int64")
    return _delimited(3, _delimited(1, _varint(value & _UINT64)))


def _value(feature: memoryview) -> Value:
    lists = list(_fields(feature))
    if len(lists) != 1 or lists[0][0] not in (1, 3):
        raise ValueError("a feature is neither bytes nor an integer")
    number, content = lists[0]
    (value,) = _messages(content, 1)
    if number == 1:
        return bytes(value)
    integer, end = _read_varint(value, 0)
    if end != len(value):
        raise ValueError("a feature has several values")
    return integer - (1 << 64) if integer >= 1 << 63 else integer


def _delimited(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _messages(data: memoryview, number: int) -> list[memoryview]:
    return [content for found, content in _fields(data) if found == number]


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        if tag & 7 != _DELIMITED:
            raise ValueError(f"wire type {tag & 7} at byte {at}")
        size, at = _read_varint(data, at)
        if at + size > len(data):
            raise ValueError(f"cut off at byte {at}")
        yield tag >> 3, data[at : at + size]
        at += size


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _UINT64, at
    raise ValueError("an endless number")
