"""`--deterministic`: two processes come to the same bits."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cxr.local_baseline.request import TrainRequest, fingerprint, recipe_of
from cxr.manifests.manifest import Manifest

PROGRAM = Path(__file__).parent / "deterministic_process.py"


@pytest.mark.slow
def test_two_processes_end_with_the_same_weights(small_manifest: Manifest, tmp_path: Path) -> None:
    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, PROGRAM, small_manifest.location, tmp_path / "cache", tmp_path / name]
        return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)

    processes = [start("one"), start("other")]  # at once: threads are scheduled otherwise in each
    one, other = (process.communicate(timeout=500)[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert one == other
    assert len(one.strip()) == 64


def test_a_bundle_that_was_not_trained_so_is_not_taken_for_one_that_was(small_request: TrainRequest) -> None:
    asked = replace(small_request, deterministic=True)
    assert fingerprint(asked, recipe_of(asked)) != fingerprint(small_request, recipe_of(small_request))
    looked = replace(small_request, verify_cache=True)
    assert fingerprint(looked, recipe_of(looked)) == fingerprint(small_request, recipe_of(small_request))
