"""One image in a shard: the file's own bytes and what the manifest says of it."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Final

from cxr.errors import InputError
from cxr.manifests.shards.wire import Value, decode_example, encode_example

#: Feature -> its type in a shard, in the order of ShardRecord's fields. The names are those of TensorFlow's own image
#: data sets (models/research/slim/datasets); the last four are ours.
FEATURES: Final = {
    "image/encoded": "bytes",
    "image/format": "bytes",
    "image/height": "int64",
    "image/width": "int64",
    "image/class/label": "int64",
    "image/class/text": "bytes",
    "image/path": "bytes",
    "image/patient": "bytes",
    "image/etiology": "bytes",
    "image/sha256": "bytes",
}


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """`encoded` is the image file as it is; `format` JPEG, PNG and so on; `label` the class's place (from 0) in the
    index's `classes`; `sha256` (hex) that of `encoded`."""

    encoded: bytes
    format: str
    height: int
    width: int
    label: int
    text: str
    path: str
    patient: str
    etiology: str
    sha256: str

    def to_example(self) -> bytes:
        """This record as a serialised tf.train.Example."""
        values: list[Value] = [value.encode() if isinstance(value, str) else value for value in astuple(self)]
        return encode_example(dict(zip(FEATURES, values, strict=True)))

    @classmethod
    def from_example(cls, data: bytes) -> ShardRecord:
        """Read a serialised tf.train.Example. Raises InputError when it is not one of a shard."""
        found = decode_example(data)
        for name, kind in FEATURES.items():
            if not isinstance(found.get(name), bytes if kind == "bytes" else int):
                raise InputError(f"a record without the feature {name} ({kind})")
        first, *others = (found[name] for name in FEATURES)
        try:
            texts = [value.decode() if isinstance(value, bytes) else value for value in others]
        except UnicodeDecodeError as error:
            raise InputError(f"a record with a text that is not UTF-8: {error}") from error
        return cls(first, *texts)  # type: ignore[arg-type]
