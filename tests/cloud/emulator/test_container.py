"""What a custom job finds: its files under /gcs, its packages from the bucket, its output in the log."""

from __future__ import annotations

import importlib.util
import io
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from emulator_server import Server, is_alive, wait_until
from google.auth.credentials import AnonymousCredentials

from cxr.cloud.emulator.jobs import pip_shim
from cxr.cloud.emulator.jobs.container import project_number


def wheel(name: str, version: str, modules: dict[str, str]) -> bytes:
    """A pure wheel with these modules."""
    info = f"{name}-{version}.dist-info"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in modules.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


def log_lines(server: Server, name: str, **options: Any) -> list[tuple[str, str]]:
    """(severity, message) as the unmodified logging SDK reads them."""
    from google.cloud import logging as cloud_logging

    client = cloud_logging.Client(
        project="p",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": server.url},
        _use_grpc=False,
    )
    job_id = name.rpartition("/")[2]
    chosen = f'resource.type="ml_job" AND resource.labels.job_id="{job_id}"'
    entries = client.list_entries(filter_=chosen, **options)
    return [(entry.severity, entry.payload["message"]) for entry in entries]


def test_code_comes_from_the_wheel_in_the_bucket(server: Server) -> None:
    server.bucket("wheels")
    modules = {"cxrprobe/__init__.py": "", "cxrprobe/main.py": "import sys; print('args', sys.argv[1:])"}
    server.put("wheels", "code/cxrprobe-1.0-py3-none-any.whl", wheel("cxrprobe", "1.0", modules))
    script = (
        "python3 -m pip install '/gcs/wheels/code/cxrprobe-1.0-py3-none-any.whl[trainer]' pytest>=1"
        ' && exec python3 -m cxrprobe.main "$@"'
    )
    name = server.custom_job("sh", "-c", script, "trainer", "--manifest", "gs://wheels/manifest.csv")
    done = server.wait_for(name, "SUCCEEDED", "FAILED")
    assert done["state"] == "JOB_STATE_SUCCEEDED", done
    assert ("INFO", "args ['--manifest', 'gs://wheels/manifest.csv']") in log_lines(server, name)


@pytest.mark.parametrize(
    ("requirement", "words"),
    [("/gcs/wheels/none.whl", "there is no file"), ("no-such-distribution-xyz", "has no package index")],
)
def test_a_package_that_is_not_there_fails_the_job(server: Server, requirement: str, words: str) -> None:
    server.bucket("wheels")
    name = server.custom_job("pip", "install", "--quiet", requirement)
    failed = server.wait_for(name, "SUCCEEDED", "FAILED")
    assert "non-zero status of 1" in failed["error"]["message"]
    assert words in failed["error"]["message"]


def test_objects_and_folders_are_under_gcs_for_reading_only(server: Server) -> None:
    server.bucket("mount")
    for name in ("data/a.txt", "data/deep/b.txt", "data2/c.txt"):
        server.put("mount", name, name.encode())
    script = (
        "cat /gcs/mount/data/a.txt; echo; cd /gcs/mount/data && find . -type f | sort; test -e ../data2 || echo alone;"
        " ls -l a.txt | cut -c 1-10"
    )
    job = server.custom_job("sh", "-c", script)
    server.wait_for(job, "SUCCEEDED")
    assert [text for _, text in log_lines(server, job)] == [
        "data/a.txt",
        "./a.txt",
        "./deep/b.txt",
        "alone",
        "-r--r--r--",
    ]


def test_what_an_attempt_worked_with_goes_with_its_end_and_all_with_the_job(server: Server) -> None:
    server.bucket("mount")
    server.put("mount", "tidy/a.txt", b"a")
    job = server.custom_job("sh", "-c", "cat /gcs/mount/tidy/a.txt > work.bin")
    server.wait_for(job, "SUCCEEDED")
    folder = server.state / "jobs" / job.rpartition("/")[2]
    wait_until(lambda: not {"gcs", "site", "work"} & {path.name for path in (folder / "attempt-1").iterdir()})
    assert (folder / "attempt-1" / "log.jsonl").exists()
    server.done(server.ok("DELETE", job))
    assert not folder.exists()


def test_of_an_object_and_a_folder_of_one_name_the_folder_is_seen(server: Server) -> None:
    server.bucket("mount")
    for name in ("twice", "twice%2Fe"):
        server.put("mount", name, b"x")
    job = server.custom_job("sh", "-c", "ls /gcs/mount/twice")
    assert server.wait_for(job, "SUCCEEDED", "FAILED")["state"] == "JOB_STATE_SUCCEEDED"
    assert log_lines(server, job) == [("INFO", "e")]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to an ancestor")
def test_a_process_that_left_the_session_ends_with_its_job(server: Server, tmp_path: Path) -> None:
    script = (
        f"setsid setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 987' & while [ ! -s {tmp_path}/pid ]; do :; done"
    )
    server.wait_for(server.custom_job("sh", "-c", script), "SUCCEEDED")
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_long_last_line_is_cut_in_the_error(server: Server) -> None:
    job = server.custom_job("sh", "-c", "head -c 50000 /dev/zero | tr '\\0' b >&2; exit 3")
    message = server.wait_for(job, "FAILED")["error"]["message"]
    assert 2000 < len(message) < 2500


def test_the_environment_is_the_services(server: Server) -> None:
    server.bucket("mount")
    name = server.custom_job(
        "sh",
        "-c",
        'echo "$AIP_MODEL_DIR|$AIP_CHECKPOINT_DIR|$AIP_TENSORBOARD_LOG_DIR|$CLOUD_ML_PROJECT_ID|$CLOUD_ML_JOB_ID";'
        'echo "$CLUSTER_SPEC"; echo "$STORAGE_EMULATOR_HOST"',
        baseOutputDirectory={"outputUriPrefix": "gs://mount/run/"},
    )
    server.wait_for(name, "SUCCEEDED")
    first, cluster, host = [text for _, text in log_lines(server, name)]
    root, job_id = "gs://mount/run", name.rpartition("/")[2]
    assert first == f"{root}/model/|{root}/checkpoints/|{root}/logs/|{project_number('p')}|{job_id}"
    assert '"type": "workerpool0"' in cluster
    assert host == server.url


def test_log_lines_come_in_order_by_page_and_with_severity(server: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"  # the two streams are read side by side: stderr's line comes when stdout's are all there
    script = (
        "i=0; while [ $i -lt 120 ]; do echo line $i; i=$((i+1)); done;"
        f" while [ ! -e {gate} ]; do sleep 0.01; done; echo oh >&2"
    )
    name = server.custom_job("sh", "-c", script)
    wait_until(lambda: len(log_lines(server, name)) == 120)
    gate.touch()
    server.wait_for(name, "SUCCEEDED")
    expected = [("INFO", f"line {number}") for number in range(120)] + [("ERROR", "oh")]
    assert log_lines(server, name, page_size=25) == expected
    assert log_lines(server, name, order_by="timestamp desc", max_results=2) == expected[::-1][:2]


def test_automl_has_no_log_entries(server: Server) -> None:
    name = server.train(server.dataset("b-log"))
    server.wait_for(name, "SUCCEEDED")
    assert log_lines(server, name) == []


def test_the_servers_own_environment_does_not_reach_the_container(server: Server) -> None:
    secret = next(key for key in os.environ if key.startswith("PYTEST"))
    name = server.custom_job("sh", "-c", f'test -z "${secret}"')
    assert server.wait_for(name, "SUCCEEDED", "FAILED")["state"] == "JOB_STATE_SUCCEEDED"


def test_a_wheel_is_unpacked_where_there_is_no_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # environments made by uv have no pip
    path = tmp_path / "cxrprobe-1.0-py3-none-any.whl"
    path.write_bytes(wheel("cxrprobe", "1.0", {"cxrprobe/__init__.py": "x = 1"}))
    assert pip_shim.main(tmp_path / "site", ["install", "--no-deps", f"{path}[trainer]"]) == 0
    assert (tmp_path / "site" / "cxrprobe" / "__init__.py").read_text() == "x = 1"


def test_a_wheel_of_a_version_that_is_there_is_left_unless_it_is_forced(tmp_path: Path) -> None:
    path, site = tmp_path / "cxrprobe-1.0-py3-none-any.whl", tmp_path / "site"
    for number, options in ((1, ()), (2, ()), (3, ("--no-deps", "--force-reinstall"))):
        path.write_bytes(wheel("cxrprobe", "1.0", {"cxrprobe/__init__.py": f"x = {number}"}))
        assert pip_shim.main(site, ["install", *options, f"{path}[trainer]"]) == 0
        assert (site / "cxrprobe" / "__init__.py").read_text() == f"x = {3 if options else 1}"


def test_a_file_of_requirements_is_read_with_paths_relative_to_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "requirements.txt").write_text("# what it needs\n--no-binary :all:\n\nnumpy>=1  # there\n./gone.whl\n")
    monkeypatch.chdir(tmp_path)
    assert pip_shim.main(tmp_path / "site", ["install", "-r", "requirements.txt"]) == 1
    told = capfd.readouterr()
    assert "already satisfied: numpy>=1" in told.out
    assert "there is no file gone.whl" in told.err
