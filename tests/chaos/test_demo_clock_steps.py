"""The demo while the machine's clock is set, by hours and to and fro, in the middle of its steps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from chaos_demo import Demo, Ended, check_ended_well, check_nothing_billed_twice

from cxr.cloud.jobs.journal import Journal

HOUR_S = 3600
#: The step of the demo that begins -> how wrong the clock is from then on.
WRONG_BY_S = {
    1: 0,
    3: 5 * HOUR_S,
    4: -7 * HOUR_S,
    5: 30 * HOUR_S,
    6: -HOUR_S,
    7: 9 * HOUR_S,
    8: -20 * HOUR_S,
    9: 400 * HOUR_S,
    10: -3 * HOUR_S,
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_clock_that_is_set_changes_no_figure_and_bills_nothing_twice(
    tmp_path: Path, undisturbed: tuple[Ended, list[dict[str, Any]]]
) -> None:
    clock = tmp_path / "clock"
    site = Path(__file__).parent / "stepping_clock"
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    demo = Demo(tmp_path / "demo", {"CXR_CHAOS_CLOCK": str(clock), "PYTHONPATH": path})
    try:
        ended = demo.run(lambda step: clock.write_text(str(WRONG_BY_S.get(step, 0))))
        assert ended.code == 0, ended.said[-3000:]
        created = {job.created for job in Journal(demo.folder / ".cxr" / "jobs.jsonl").jobs()}
        assert len({moment[:13] for moment in created}) > 1, "the clock was never wrong"
        check_ended_well(demo, ended, undisturbed[1])
        check_nothing_billed_twice(demo)

        clock.write_text(str(-30 * HOUR_S))
        trained = {path: path.stat().st_mtime_ns for path in (demo.folder / "runs").glob("*/bundle.json")}
        check_ended_well(demo, demo.run(), undisturbed[1])
        check_nothing_billed_twice(demo)
        assert {path: path.stat().st_mtime_ns for path in trained} == trained
    finally:
        demo.stop_emulator()
