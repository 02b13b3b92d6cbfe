"""The demo while one request in twenty fails: refused for now, over the quota, or cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chaos_demo import SEEDS, Demo, Ended, check_ended_well, check_nothing_billed_twice

from cxr.cloud.emulator.process import change_faults, ensure_running

#: One that is refused for good (a quota, say) ends with a line; the next goes on.
MOST_RUNS = 3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def _one_in_twenty(seed: int) -> dict[str, Any]:
    """A third each: 503 and 429 before the request is carried out, a connection cut when it has been."""
    third = {"probability": 0.05 / 3}
    return {
        "rules": [
            {"action": "status", "status": 503, "seed": seed, **third},
            {"action": "status", "status": 429, "retry_after": 1, "seed": seed + 1, **third},
            {"action": "reset", "after": True, "seed": seed + 2, **third},
        ]
    }


@pytest.mark.parametrize("seed", range(1, 1 + max(1, SEEDS // 10)), ids=lambda seed: f"seed {seed}")
def test_one_request_in_twenty_fails_and_the_demo_ends_well(
    tmp_path: Path, undisturbed: tuple[Ended, list[dict[str, Any]]], seed: int
) -> None:
    demo = Demo(tmp_path / "demo", None, (), "--keep-emulator")
    # The same server that the demo would start: it takes the one that is there.
    url = ensure_running(demo.emulator, max_running_jobs=1, stand_in_epochs=1)
    try:
        change_faults(url, _one_in_twenty(seed))
        for _ in range(MOST_RUNS):
            ended = demo.run()
            print(f"exit code {ended.code}: {ended.said[-300:]}")
            if ended.code == 0:
                break
            assert ended.is_clear, ended.said[-3000:]
        fired = [rule["fired"] for rule in change_faults(url)["rules"]]
        print(f"faults {fired}")
        assert all(fired)
        check_ended_well(demo, ended, undisturbed[1])
        check_nothing_billed_twice(demo)
    finally:
        demo.stop_emulator()
