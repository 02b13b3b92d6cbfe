"""One undisturbed demo, which the disturbed ones are measured by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from chaos_demo import Demo, Ended, figures
from private_mounts import PrivateMounts


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ended, list[dict[str, Any]]]]:
    """How the demo runs when nothing happens, and its figures."""
    demo = Demo(tmp_path_factory.mktemp("undisturbed") / "demo")
    try:
        ended = demo.run()
        assert ended.code == 0, ended.said[-3000:]
        yield ended, figures(demo.folder)
    finally:
        demo.stop_emulator()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A demo in a folder of its own, whose processes end with the test."""
    started = Demo(tmp_path / "demo")
    yield started
    started.stop_emulator()
    for left in started.processes():
        with suppress(psutil.NoSuchProcess):
            left.kill()


@pytest.fixture
def mounts() -> Iterator[PrivateMounts]:
    """Mounts that only this test's processes see."""
    private = PrivateMounts()
    yield private
    private.close()
