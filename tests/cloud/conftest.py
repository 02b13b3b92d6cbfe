"""An emulator with an uploaded manifest for each file of tests of what finished jobs leave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')
pytest.importorskip("httptools", reason='needs the extra: pip install "cxr[gcp]"')

from service_site import Site, open_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A working folder for the tests of one file."""
    with open_site(tmp_path_factory.mktemp("service")) as opened:
        yield opened
