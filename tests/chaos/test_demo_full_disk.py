"""The demo on a disk that is full at one step after another: one clear line each time; more room is all it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chaos_demo import Demo, Ended, check_ended_well
from private_mounts import PrivateMounts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

#: KiB of the disk: too few to draw the images, to send them, to send the trainer, to train.
TOO_SMALL_KIB = (300, 2_600, 5_000, 7_000)
LARGE_ENOUGH_KIB = 200_000
FULL = ("No space left", "is full")


def test_a_full_disk_is_one_clear_line_and_making_room_is_enough(
    tmp_path: Path, mounts: PrivateMounts, undisturbed: tuple[Ended, list[dict[str, Any]]]
) -> None:
    disk = tmp_path / "disk"
    mounts.small_disk(disk, TOO_SMALL_KIB[0])
    demo = Demo(disk / "demo", prefix=mounts.prefix)
    try:
        for kib in TOO_SMALL_KIB:
            mounts.resize(disk, kib)
            ended = demo.run()
            print(kib, ended.code, ended.said[-400:])
            assert ended.code in {1, 4}, ended.said[-3000:]
            assert ended.is_clear, ended.said[-3000:]
            last = " ".join(ended.said.splitlines()[-2:])
            assert any(words in last for words in FULL), last
            assert str(disk) in last
        mounts.resize(disk, LARGE_ENOUGH_KIB)
        ended = demo.run()
        if ended.code == 4:
            # A job that ran out of room has failed, and says so; the next run launches it anew.
            assert ended.is_clear, ended.said[-3000:]
            ended = demo.run()
        check_ended_well(demo, ended, undisturbed[1], mounts.seen(demo.folder))
    finally:
        demo.stop_emulator(mounts.seen(demo.folder))
