"""Which net a weights file is of, as far as its names tell."""

from __future__ import annotations

import importlib
from pathlib import Path

from cxr.local_baseline.models.backbone_facts import FACTS


def net_of_weights(path: str) -> str:
    """The name of the known net whose layers an HDF5 weights file names; empty when it names none (Keras 3's own
    format says only what kind each layer is) or is no HDF5."""
    h5py = importlib.import_module("h5py")  # comes with Keras, which needs it for the same files
    try:
        with h5py.File(Path(path), "r") as file:
            stored = file.get("model_weights", file)
            names = {str(name) for name in stored}
    except OSError:
        return ""
    return next((facts.name for facts in FACTS.values() if facts.layer in names), "")
