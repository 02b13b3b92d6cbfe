"""Labels inside a TFLite file: the metadata flatbuffer (schema "M001", field numbers of metadata_schema.fbs) and the
label file itself.

A TFLite file with associated files is the model's flatbuffer with a zip archive behind it: readers of the model ignore
the archive, and readers of archives ignore what is in front of it.
"""

from __future__ import annotations

import importlib
import io
import zipfile
from collections.abc import Sequence
from typing import Any

from cxr.local_baseline.exports.flatbuffer import packed, read_tree, schema

#: The label file's name inside the archive: one label a line, in the order of the outputs.
LABELS_FILE = "labels.txt"
METADATA_NAME = b"TFLITE_METADATA"
METADATA_IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"
#: AssociatedFileType.TENSOR_AXIS_LABELS, ContentProperties.ImageProperties and ColorSpaceType of the schema.
TENSOR_AXIS_LABELS = 2
IMAGE_PROPERTIES = 2
FEATURE_PROPERTIES = 1
COLOUR_SPACES = {1: 2, 3: 1}

Offset = int


def with_metadata(model: bytes, labels: Sequence[str], *, name: str, description: str) -> bytes:
    """The TFLite file `model` with a metadata entry and the labels appended as an associated file."""
    flatbuffers = importlib.import_module("flatbuffers")
    tree = read_tree(model)
    graph = tree.subgraphs[0]
    channels = int(graph.tensors[graph.inputs[0]].shape[-1])
    buffer = schema().BufferT()
    buffer.data = list(_metadata(flatbuffers, name, description, channels))
    tree.buffers.append(buffer)
    entry = schema().MetadataT()
    entry.name = METADATA_NAME
    entry.buffer = len(tree.buffers) - 1
    tree.metadata = [*(tree.metadata or []), entry]
    return _with_archive(packed(tree), "".join(f"{label}\n" for label in labels))


def _with_archive(model: bytes, labels: str) -> bytes:
    stream = io.BytesIO(model)
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(LABELS_FILE, date_time=(1980, 1, 1, 0, 0, 0)), labels)
    return stream.getvalue()


def _metadata(flatbuffers: Any, name: str, description: str, channels: int) -> bytes:
    """ModelMetadata with one subgraph: an image input, and an output whose axis the label file names."""
    builder = flatbuffers.Builder(1024)
    table = _Tables(builder)
    image = table.content(IMAGE_PROPERTIES, table.make({}, bytes_={0: COLOUR_SPACES.get(channels, 0)}))
    given = table.make({0: table.text("image"), 1: table.text("pixels 0..255, row by row"), 3: image})
    file = table.make(
        {0: table.text(LABELS_FILE), 1: table.text("one label a line, in the order of the scores")},
        bytes_={2: TENSOR_AXIS_LABELS},
    )
    feature = table.content(FEATURE_PROPERTIES, table.make({}))
    scores = table.make(
        {0: table.text("scores"), 1: table.text("probability of each label"), 3: feature, 6: table.vector([file])}
    )
    graph = table.make({2: table.vector([given]), 3: table.vector([scores])})
    root = table.make(
        {
            0: table.text(name),
            1: table.text(description),
            3: table.vector([graph]),
            7: table.text(PARSER_VERSION),
        }
    )
    builder.Finish(root, file_identifier=METADATA_IDENTIFIER)
    return bytes(builder.Output())


class _Tables:
    """Flatbuffer tables by field number. Children are made before their parents, as the format demands."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def text(self, value: str) -> Offset:
        return int(self._builder.CreateString(value))

    def vector(self, offsets: Sequence[Offset]) -> Offset:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def content(self, kind: int, properties: Offset) -> Offset:
        """A Content table: the union's type in field 0, its value in field 1."""
        return self.make({1: properties}, bytes_={0: kind})

    def make(self, offsets: dict[int, Offset], *, bytes_: dict[int, int] | None = None) -> Offset:
        """A table with offsets and one-byte enums in the given fields."""
        small = bytes_ or {}
        self._builder.StartObject(max([*offsets, *small, -1]) + 1)
        for number, offset in offsets.items():
            self._builder.PrependUOffsetTRelativeSlot(number, offset, 0)
        for number, value in small.items():
            self._builder.PrependByteSlot(number, value, 0)
        return int(self._builder.EndObject())
