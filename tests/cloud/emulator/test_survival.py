"""Nothing is lost when the server is killed, stopped or started again, and no job runs twice at once."""

from __future__ import annotations

import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests
from emulator_server import Server, Start, is_alive, wait_until

from cxr.cloud.emulator import process
from cxr.cloud.emulator.settings import EmulatorSettings
from cxr.cloud.emulator.state.database import Database
from cxr.cloud.emulator.vertex_api.messages import types
from cxr.cloud.emulator.vertex_api.operations import begin

pytestmark = pytest.mark.slow

PIECE = 256 * 1024


def test_objects_and_unfinished_uploads_survive_kill_9(start: Start) -> None:
    server = start()
    server.bucket("kept")
    server.put("kept", "a", b"bytes")
    begun = requests.post(f"{server.url}/upload/storage/v1/b/kept/o?uploadType=resumable&name=big", json={})
    url, data = begun.headers["Location"], os.urandom(PIECE + 5)
    head = {"Content-Range": f"bytes 0-{PIECE - 1}/{len(data)}"}
    assert requests.put(url, data=data[:PIECE], headers=head).status_code == 308
    server.kill()
    again = start()
    assert again.url == server.url
    assert requests.get(f"{again.url}/storage/v1/b/kept/o/a?alt=media").content == b"bytes"
    asked = requests.put(url, headers={"Content-Range": f"bytes */{len(data)}"})
    assert (asked.status_code, asked.headers["Range"]) == (308, f"bytes=0-{PIECE - 1}")
    tail = {"Content-Range": f"bytes {PIECE}-{len(data) - 1}/{len(data)}"}
    assert requests.put(url, data=data[PIECE:], headers=tail).status_code == 200
    assert requests.get(f"{again.url}/storage/v1/b/kept/o/big?alt=media").content == data


def test_every_acknowledged_write_survives_kill_9_under_load(start: Start) -> None:
    server = start()
    server.bucket("load")
    acknowledged: set[str] = set()

    def write(writer: int) -> None:
        with requests.Session() as session, contextlib.suppress(requests.ConnectionError):
            for number in range(10_000):
                name = f"{writer}-{number}"
                url = f"{server.url}/upload/storage/v1/b/load/o?uploadType=media&name={name}"
                if session.post(url, data=name.encode() * 500, timeout=60).status_code == 200:
                    acknowledged.add(name)

    pid = server.pid
    with ThreadPoolExecutor(4) as writers:
        running = [writers.submit(write, writer) for writer in range(4)]
        wait_until(lambda: len(acknowledged) >= 200)
        os.kill(pid, signal.SIGKILL)
        for writer in running:
            writer.result()
    psutil.Process(pid).wait(60)
    again = start()
    names: set[str] = set()
    token = ""
    while token is not None:
        page = requests.get(f"{again.url}/storage/v1/b/load/o?pageToken={token}").json()
        names |= {item["name"] for item in page["items"]}
        token = page.get("nextPageToken")
    assert acknowledged <= names
    for name in sorted(names):
        assert requests.get(f"{again.url}/storage/v1/b/load/o/{name}?alt=media").content == name.encode() * 500


def test_of_many_writers_for_one_new_name_one_wins(server: Server) -> None:
    server.bucket("race")

    def write(number: int) -> int:
        url = f"{server.url}/upload/storage/v1/b/race/o?uploadType=media&name=x&ifGenerationMatch=0"
        return requests.post(url, data=b"%d" % number, timeout=60).status_code

    with ThreadPoolExecutor(8) as writers:
        assert sorted(writers.map(write, range(16))) == [200] + [412] * 15


def test_an_operation_that_was_begun_is_finished_by_the_next_server(start: Start) -> None:
    server = start()
    dataset = server.dataset("b-begun", items=2)
    server.put("b-begun", "more.jpeg", b"\xff\xd8\xffmore")
    server.put("b-begun", "more.csv", b"gs://b-begun/more.jpeg,NORMAL\n")
    process.stop(server.state)
    database = Database(EmulatorSettings(server.state).database_path)
    configs = [{"gcsSource": {"uris": ["gs://b-begun/more.csv"]}}]
    with database.write() as connection:
        work = {"dataset": dataset, "configs": configs}
        operation = begin(connection, dataset, "import", types.ImportDataOperationMetadata, work)
    database.close()
    again = start()
    assert "response" in again.done(operation)
    assert again.ok("GET", dataset)["dataItemCount"] == "3"


def test_what_an_interrupted_write_left_is_removed_at_the_start(start: Start) -> None:
    server = start()
    server.bucket("kept")
    server.put("kept", "a", b"bytes")
    server.kill()
    orphan = server.state / "blobs" / "00" / ("0" * 32)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"half")
    again = start()
    assert not orphan.exists()
    assert requests.get(f"{again.url}/storage/v1/b/kept/o/a?alt=media").content == b"bytes"


def test_a_job_goes_on_while_the_server_is_dead_and_is_found_again(start: Start, tmp_path: Path) -> None:
    server = start()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    name = server.custom_job("sh", "-c", f"read line < {gate}; echo done")
    server.wrapper(name)
    server.kill()
    gate.write_text("go\n")  # ends the job while nobody watches
    again = start()
    assert again.wait_for(name, "SUCCEEDED", "FAILED")["state"] == "JOB_STATE_SUCCEEDED"
    assert again.attempts(name) == ["attempt-1"]


def test_a_training_that_ended_while_the_server_was_dead_gives_its_model(start: Start) -> None:
    server = start()
    name = server.train(server.dataset("b-slow"), budget=1004)
    server.wrapper(name)
    server.kill()
    again = start()
    done = again.wait_for(name, "SUCCEEDED", "FAILED")
    assert done["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert again.ok("GET", done["modelToUpload"]["name"])["labels"]["cxr-emulator"] == "stand-in"
    assert again.attempts(name) == ["attempt-1"]


def test_a_job_that_dies_with_the_server_is_started_again_as_often_as_that_happens(
    start: Start, tmp_path: Path
) -> None:
    deaths = EmulatorSettings(tmp_path).job_attempts + 1
    server = start()
    runs = tmp_path / "runs"
    name = server.custom_job("sh", "-c", f"echo $$ >> {runs}; test $(wc -l < {runs}) = {deaths + 1} || sleep 600")
    for death in range(1, deaths + 1):
        wait_until(lambda times=death: runs.exists() and len(runs.read_text().splitlines()) == times)
        wrapper = server.wrapper(name, attempt=death)
        server.kill()
        os.killpg(wrapper.pid, 9)
        wrapper.wait(60)
        server = start()
    assert server.wait_for(name, "SUCCEEDED", "FAILED")["state"] == "JOB_STATE_SUCCEEDED"
    assert len(runs.read_text().splitlines()) == deaths + 1


def test_a_clean_stop_ends_running_jobs_and_the_next_start_runs_them_again(start: Start, tmp_path: Path) -> None:
    server = start()
    runs = tmp_path / "runs"
    name = server.custom_job("sh", "-c", f"echo $$ >> {runs}; test $(wc -l < {runs}) = 2 || sleep 600")
    wait_until(lambda: runs.exists() and runs.read_text().strip() != "")
    assert process.stop(server.state)
    wait_until(lambda: not is_alive(int(runs.read_text())))  # a killed process ends when its turn comes
    again = start()
    assert again.wait_for(name, "SUCCEEDED", "FAILED")["state"] == "JOB_STATE_SUCCEEDED"


def test_a_training_that_dies_once_is_tried_again(server: Server) -> None:
    name = server.train(server.dataset("b-once"), budget=1003)
    assert server.wait_for(name, "SUCCEEDED", "FAILED")["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert server.attempts(name) == ["attempt-1", "attempt-2"]


def test_a_training_that_always_dies_fails_after_three_attempts(server: Server) -> None:
    name = server.train(server.dataset("b-always"), budget=1006)
    failed = server.wait_for(name, "SUCCEEDED", "FAILED")
    assert (failed["state"], failed["error"]["code"]) == ("PIPELINE_STATE_FAILED", 13)
    assert server.attempts(name) == ["attempt-1", "attempt-2", "attempt-3"]


def test_a_training_without_its_files_fails_and_makes_no_model(server: Server) -> None:
    name = server.train(server.dataset("b-incomplete"), budget=1005)
    failed = server.wait_for(name, "SUCCEEDED", "FAILED")
    assert "evaluation.json" in failed["error"]["message"]
    assert server.call("GET", f"{server.parent}/models/{name.rpartition('/')[2]}").status_code == 404


def test_more_jobs_than_slots_wait_their_turn(start: Start) -> None:
    server = start(max_running_jobs=1)
    first = server.custom_job("sleep", "600")
    second = server.custom_job("true")
    server.wait_for(first, "RUNNING")
    assert server.ok("GET", second)["state"] == "JOB_STATE_PENDING"
    server.ok("POST", f"{first}:cancel", {})
    assert server.wait_for(second, "SUCCEEDED", "FAILED")["state"] == "JOB_STATE_SUCCEEDED"


def test_a_waiting_job_can_be_cancelled(start: Start) -> None:
    server = start(max_running_jobs=1)
    first, second = server.custom_job("sleep", "600"), server.custom_job("true")
    server.wait_for(first, "RUNNING")
    server.ok("POST", f"{second}:cancel", {})
    assert server.wait_for(second, "CANCELLED")["error"]["code"] == 1
    assert server.attempts(second) == []


def test_cancelling_ends_every_process_of_a_job(server: Server, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"setsid sleep 600 & echo $! >> {pids}; sleep 600 & echo $! >> {pids}; wait"
    name = server.custom_job("sh", "-c", script)
    server.wait_for(name, "RUNNING")
    wait_until(lambda: pids.exists() and len(pids.read_text().splitlines()) == 2)
    server.ok("POST", f"{name}:cancel", {})
    server.wait_for(name, "CANCELLED")
    assert [pid for pid in map(int, pids.read_text().split()) if is_alive(pid)] == []


def test_a_job_over_its_timeout_fails(server: Server) -> None:
    name = server.custom_job("sleep", "600", scheduling={"timeout": "1s"})
    assert server.wait_for(name, "FAILED")["error"]["code"] == 4
