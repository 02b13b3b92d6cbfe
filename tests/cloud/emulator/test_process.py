"""One server for each state folder, started, found and stopped as a process."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from emulator_server import Start
from typer.testing import CliRunner

from cxr.cli.emulator import app
from cxr.cloud.emulator import process
from cxr.cloud.local_servers.process import is_locked
from cxr.errors import Fault, NotAllowed


def test_two_who_ask_at_once_do_not_take_each_other_for_the_server(tmp_path: Path) -> None:
    lock = tmp_path / "server.lock"
    assert not is_locked(lock)
    with lock.open("w") as other, ThreadPoolExecutor(8) as callers:
        assert not any(callers.map(lambda _: is_locked(lock), range(4000)))
        fcntl.flock(other, fcntl.LOCK_EX)
        assert is_locked(lock)


def test_many_callers_at_once_start_one_server(start: Start, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as callers:
        urls = list(callers.map(lambda _: start().url, range(4)))
    assert len(set(urls)) == 1
    record = json.loads((tmp_path / "emulator" / "server.json").read_text())
    assert set(record) == {"pid", "port", "url", "started"}
    assert record["url"] == urls[0]


def test_stop_ends_it_and_says_whether_there_was_one(start: Start, tmp_path: Path) -> None:
    server = start()
    pid = server.pid
    assert process.running_url(server.state) == server.url
    assert process.stop(server.state) is True
    assert not psutil.pid_exists(pid)
    assert not (server.state / "server.json").exists()
    assert process.running_url(server.state) is None
    assert process.stop(server.state) is False


def test_a_killed_server_is_not_taken_for_a_running_one(start: Start) -> None:
    server = start()
    server.kill()
    assert (server.state / "server.json").exists()
    assert process.running_url(server.state) is None
    assert start().url == server.url


def test_a_port_in_use_is_one_clear_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Fault, match=f"port {port} is in use") as caught:
            process.ensure_running(tmp_path / "e", port=port)
    assert caught.value.hint is not None
    assert "cxr emulator start" in caught.value.hint


def test_a_second_server_on_the_same_state_is_refused(start: Start) -> None:
    server = start()
    command = [sys.executable, "-m", "cxr.cloud.emulator", "--state", str(server.state)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert second.returncode == 2
    assert "another emulator already works on" in second.stderr
    assert "Traceback" not in second.stderr
    assert process.running_url(server.state) == server.url


def test_an_idle_server_leaves_when_it_has_no_job(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cxr.cloud.emulator", "--state", str(tmp_path), "--idle-exit-seconds", "0.5"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout[:17]) == (0, "http://127.0.0.1:"), ended.stderr
    assert not (tmp_path / "server.json").exists()


def test_an_idle_server_with_a_job_stays_until_it_is_done(start: Start, tmp_path: Path) -> None:
    first = start()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    first.wrapper(first.custom_job("sh", "-c", f"read line < {gate}"))
    first.kill()
    # It has the job from its start on, and is not gone before this test has asked anything of it.
    server = psutil.Process(start(idle_exit_seconds=1.0).pid)
    with pytest.raises(psutil.TimeoutExpired):
        server.wait(3.0)
    gate.write_text("go\n")
    server.wait(240)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_not_allowed(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(NotAllowed):
        process.ensure_running(tmp_path / "e")


def test_the_command_line_starts_shows_and_stops_it(tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "e"), "--json"]
    runner = CliRunner()
    before = json.loads(runner.invoke(app, ["status", *state]).stdout)
    assert before["running"] is False
    started = json.loads(runner.invoke(app, ["start", "--detach", *state]).stdout)
    shown = json.loads(runner.invoke(app, ["status", *state]).stdout)
    assert (shown["running"], shown["url"], shown["jobs"]) == (True, started["url"], {"waiting": 0, "running": 0})
    assert started["environment"]["STORAGE_EMULATOR_HOST"] == started["url"]
    assert json.loads(runner.invoke(app, ["stop", *state]).stdout)["stopped"] is True
