"""What can be told of a TFLite file without running it."""

from __future__ import annotations

from pathlib import Path

#: The Edge TPU compiler replaces what it takes over by one operator of this name: such a file runs on that chip only.
EDGE_TPU_OPERATOR = b"edgetpu-custom-op"
#: Bytes 4 to 7 of the file (the schema's file identifier).
TFLITE_IDENTIFIER = b"TFL3"


def is_tflite(path: Path) -> bool:
    """Whether a file is one, by its identifier."""
    with path.open("rb") as stream:
        return stream.read(8)[4:8] == TFLITE_IDENTIFIER


def is_compiled(model: Path) -> bool:
    """Whether a TFLite file was compiled for an Edge TPU and runs nowhere else."""
    return EDGE_TPU_OPERATOR in model.read_bytes()
