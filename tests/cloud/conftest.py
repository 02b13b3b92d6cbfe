"""An emulator with an uploaded manifest for each file of tests of what finished jobs leave."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')
pytest.importorskip("httptools", reason='needs the extra: pip install "cxr[gcp]"')

from hosted_page import make_page
from service_site import Site, open_site

from cxr.cloud.connection import connect
from cxr.cloud.hosting.gcs_host import GcsHost
from cxr.settings import Settings


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A working folder for the tests of one file."""
    with open_site(tmp_path_factory.mktemp("service")) as opened:
        yield opened


@pytest.fixture
def host(local_cloud: Settings) -> GcsHost:
    """A bucket of its own for each test; not made yet."""
    return GcsHost(connect(replace(local_cloud, bucket=f"page-{uuid.uuid4().hex[:12]}")))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A small page in a folder."""
    return make_page(tmp_path / "page")
