"""The labels inside a TFLite file, read as others read them: out of the archive behind the model."""

from __future__ import annotations

import io
import zipfile


def read_labels(model: bytes) -> list[str]:
    """The lines of the only text file, in the order of the outputs."""
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".txt")]
        return archive.read(name).decode("utf-8").split("\n")[:-1]
