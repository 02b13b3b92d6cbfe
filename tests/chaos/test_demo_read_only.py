"""The demo where it may not write: one clear line, and it goes on when it may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chaos_demo import Demo, Ended, check_ended_well, check_nothing_billed_twice
from private_mounts import PrivateMounts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

#: In the order in which the demo comes to write to them.
PLACES = (".", ".cxr", ".cxr/cache", "runs", "compare", "page")


def test_a_read_only_place_is_one_clear_line_and_then_the_demo_goes_on(
    tmp_path: Path, mounts: PrivateMounts, undisturbed: tuple[Ended, list[dict[str, Any]]]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    # Home and the temporary folder cannot be written at all: nothing needs the one, and Python finds another for these.
    mounts.read_only(home)
    demo = Demo(tmp_path / "demo", {"HOME": str(home), "TMPDIR": str(home)}, mounts.prefix)
    try:
        for name in PLACES:
            place = demo.folder / name
            place.mkdir(parents=True, exist_ok=True)
            mounts.read_only(place)
            ended = demo.run()
            mounts.writable_again(place)
            print(name, ended.code, ended.said[-400:])
            assert ended.code in {1, 3}, ended.said[-3000:]
            assert ended.is_clear, ended.said[-3000:]
            assert str(place) in ended.said.splitlines()[-2], ended.said[-3000:]
        check_ended_well(demo, demo.run(), undisturbed[1])
        check_nothing_billed_twice(demo)
    finally:
        demo.stop_emulator()
