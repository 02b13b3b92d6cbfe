"""A wait whose server on this machine is killed starts it again and goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from job_site import JobSite

from cxr.cloud.connection import connect
from cxr.cloud.emulator.process import ensure_running, stop
from cxr.settings import Settings


@pytest.fixture
def site(tmp_path: Path) -> Iterator[JobSite]:
    settings = Settings(state_dir=tmp_path / ".cxr")
    ensure_running(settings.emulator_dir)
    yield JobSite(tmp_path, connect(settings))
    stop(settings.emulator_dir)


@pytest.mark.slow
def test_a_wait_outlives_its_emulator(site: JobSite) -> None:
    resource = site.custom(f"while [ ! -e {site.folder}/end ]; do sleep 0.1; done")
    job = str(site.cxr("attach", resource, "--json").data["jobs"][0]["id"])
    command = [sys.executable, "-m", "cxr", "cloud", "wait", job, "--state-dir", str(site.state_dir)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as waiting:
        assert waiting.stderr is not None
        assert job in waiting.stderr.readline()  # it has seen the job
        record = json.loads((site.settings.emulator_dir / "server.json").read_text())
        server = psutil.Process(record["pid"])
        server.kill()
        server.wait(300)  # it is this process's child, and would stay as a zombie
        assert any("starting the emulator" in line for line in waiting.stderr)
        (site.folder / "end").touch()
        said = waiting.stderr.read()
    assert waiting.returncode == 0, said
    assert "SUCCEEDED" in said
