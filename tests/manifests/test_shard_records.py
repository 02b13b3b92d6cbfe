"""TFRecord frames and tf.train.Example bytes are those that TensorFlow writes, and damage is found."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr.errors import InputError
from cxr.manifests.shards import FEATURES, ShardRecord
from cxr.manifests.shards.framing import framed, masked_crc32c, read_frames
from cxr.manifests.shards.wire import decode_example, encode_example

INT64 = st.integers(-(2**63), 2**63 - 1)
CHARACTERS = st.characters(exclude_categories=["Cs"])
FEATURE_MAPS = st.dictionaries(st.text(CHARACTERS, max_size=8), st.binary() | INT64)
#: Of equal length: where one name begins another, protobuf's implementations sort them differently. Ours do not.
EQUAL_NAMES = st.dictionaries(st.text(CHARACTERS, min_size=4, max_size=4), st.binary() | INT64)
RECORDS = st.builds(
    ShardRecord,
    encoded=st.binary(),
    **{name: st.text(CHARACTERS) for name in ("format", "text", "path", "patient")},
    etiology=st.sampled_from(["", "viral"]),
    sha256=st.just("0" * 64),
    height=st.integers(0, 9000),
    width=st.integers(0, 9000),
    label=st.integers(0, 99),
)


def _read(data: bytes) -> list[bytes]:
    return list(read_frames(io.BytesIO(data), "x"))


def test_the_masked_crc_of_a_known_text() -> None:
    # crc32c("123456789") is 0xE3069283 (RFC 3720); the mask is that of tensorflow/core/lib/hash/crc32c.h.
    assert masked_crc32c(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=5))
def test_frames_are_read_back(payloads: list[bytes]) -> None:
    assert _read(b"".join(map(framed, payloads))) == payloads


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=3), st.data())
def test_any_changed_byte_and_any_cut_is_found(payloads: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(map(framed, payloads))
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InputError, match=r"^x: record [0-2] "):
        _read(bytes(changed))
    ends = {0, *(len(b"".join(map(framed, payloads[:count]))) for count in range(len(payloads)))}
    if at not in ends:
        with pytest.raises(InputError, match="cut off"):
            _read(whole[:at])


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_no_bytes_crash_the_readers(data: bytes) -> None:
    for read in (_read, decode_example, ShardRecord.from_example):
        try:
            read(data)
        except InputError:
            continue


@settings(deadline=None)
@given(FEATURE_MAPS)
def test_examples_are_read_back(features: dict[str, bytes | int]) -> None:
    assert decode_example(encode_example(features)) == features


@settings(deadline=None)
@given(RECORDS)
def test_records_are_read_back(record: ShardRecord) -> None:
    assert ShardRecord.from_example(record.to_example()) == record


def test_an_integer_beyond_int64_is_refused() -> None:
    with pytest.raises(OverflowError):
        encode_example({"x": 2**63})


@settings(deadline=None)
@given(features=EQUAL_NAMES)
def test_examples_have_the_bytes_of_tensorflow(features: dict[str, bytes | int]) -> None:
    example_pb2 = pytest.importorskip("tensorflow.core.example.example_pb2", reason="needs TensorFlow (extra train)")
    example = example_pb2.Example()
    example.features.SetInParent()
    for name, value in features.items():
        feature = example.features.feature[name]
        (feature.bytes_list if isinstance(value, bytes) else feature.int64_list).value.append(value)
    assert encode_example(features) == example.SerializeToString(deterministic=True)
    assert decode_example(example.SerializeToString()) == features


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=4))
def test_frames_have_the_bytes_of_tensorflow(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]) -> None:
    tf_record = pytest.importorskip("tensorflow.io", reason="needs TensorFlow (extra train)")
    path = tmp_path_factory.mktemp("frames") / "x.tfrecord"
    with tf_record.TFRecordWriter(str(path)) as writer:
        for payload in payloads:
            writer.write(payload)
    assert path.read_bytes() == b"".join(map(framed, payloads))


def test_every_field_of_a_record_has_a_feature(tmp_path: Path) -> None:
    assert len(FEATURES) == len(ShardRecord.__dataclass_fields__)
    assert sorted(decode_example(ShardRecord(b"", "", 0, 0, 0, "", "", "", "", "").to_example())) == sorted(FEATURES)
