"""The demo, killed at random points: by seeds, so that a failure can be had again."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from chaos_demo import SEEDS, Demo, Ended, check_ended_well, check_nothing_billed_twice, killed_run, kills_of

FIRST_SEED = int(os.environ.get("CXR_CHAOS_FIRST_SEED", "0"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS), ids=lambda seed: f"seed {seed}")
def test_killed_at_random_it_ends_well_with_the_same_figures(
    demo: Demo, undisturbed: tuple[Ended, list[dict[str, Any]]], seed: int
) -> None:
    reference, wanted = undisturbed
    for number, kill in enumerate(kills_of(seed)):
        print(f"seed {seed}: kill -9 of {kill}")
        ended = killed_run(demo, kill, reference, random.Random(f"{seed}-{number}"))
        if ended is not None:
            print(f"  the command ended with {ended.code}: {ended.said[-300:]}")
            assert ended.code == 0 or ended.is_clear, ended.said[-3000:]
    check_ended_well(demo, demo.run(), wanted)
    check_nothing_billed_twice(demo)
