"""How TFRecord files frame their records, without TensorFlow.

Each record is: its length (uint64, little-endian), the masked crc32c of those 8 bytes (uint32), the payload, the masked
crc32c of the payload (uint32). Source: tensorflow/core/lib/io/record_writer.h and tensorflow/core/lib/hash/crc32c.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

import google_crc32c

from cxr.errors import InputError

#: Bytes that the frame adds to each payload.
FRAME_BYTES: Final = 16
#: No protobuf message is larger: https://protobuf.dev/programming-guides/proto-limits/
MAX_PAYLOAD: Final = (1 << 31) - 1
_MASK_DELTA: Final = 0xA282EAD8
_LENGTH: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")


def masked_crc32c(data: bytes) -> int:
    """crc32c, rotated right by 15 bits plus a constant, so that a crc over stored crcs stays a good one."""
    crc = int(google_crc32c.value(data))
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def framed(payload: bytes) -> bytes:
    """One record as it lies in the file."""
    length = _LENGTH.pack(len(payload))
    return b"".join((length, _CRC.pack(masked_crc32c(length)), payload, _CRC.pack(masked_crc32c(payload))))


def read_frames(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """The payloads of a TFRecord file in order, both checksums checked; `name` is used in errors.

    Raises InputError with the record's number (from 0) and place for a torn or changed record.
    """
    number, offset = 0, 0
    while head := stream.read(12):
        where = f"{name}: record {number} (at byte {offset:,})"
        if len(head) < 12:
            raise InputError(f"{where} is cut off")
        length, crc = head[:8], head[8:]
        if _CRC.unpack(crc)[0] != masked_crc32c(length):
            raise InputError(f"{where} has a wrong checksum of its length")
        size = int(_LENGTH.unpack(length)[0])
        if size > MAX_PAYLOAD:
            raise InputError(f"{where} claims {size:,} bytes, more than a record can have")
        body = stream.read(size + 4)
        if len(body) < size + 4:
            raise InputError(f"{where} is cut off")
        payload = body[:size]
        if _CRC.unpack(body[size:])[0] != masked_crc32c(payload):
            raise InputError(f"{where} has a wrong checksum")
        yield payload
        number, offset = number + 1, offset + FRAME_BYTES + size
