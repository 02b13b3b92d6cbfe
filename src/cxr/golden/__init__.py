"""Golden images: small files of every kind, with which exports and every implementation of the preprocessing contract
are verified. What is to come of them stands beside the tests (`tests/webapp/golden_pixels.py`)."""

from __future__ import annotations

from cxr.golden.files import FOLDER, golden_images

__all__ = ["FOLDER", "golden_images"]
