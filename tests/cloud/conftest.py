"""One emulator with an uploaded manifest for all tests of what finished jobs leave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')
pytest.importorskip("httptools", reason='needs the extra: pip install "cxr[gcp]"')

from service_site import Site, open_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A working folder; its tests leave the jobs of others alone."""
    with open_site(tmp_path_factory.mktemp("service")) as opened:
        yield opened
