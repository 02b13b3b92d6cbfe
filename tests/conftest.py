"""Shared fixtures. Real processes, real sockets on loopback, real X-rays where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def xrays() -> Path:
    """The folder of real chest X-rays in the Kaggle layout; skips where there is none."""
    folder = Path(os.environ.get("CXR_XRAYS", SHARED / "data" / "chest_xray"))
    if not folder.is_dir():
        pytest.skip("real X-rays are not here: put them at ../shared/data/chest_xray or set CXR_XRAYS")
    return folder


@pytest.fixture(scope="session")
def kermany_listing() -> Path:
    """The names of all files of the full release; skips where the listing is not at hand."""
    listing = SHARED / "data" / "kermany_listing.csv"
    if not listing.is_file():
        pytest.skip("the listing of the full release is not here: ../shared/data/kermany_listing.csv")
    return listing
