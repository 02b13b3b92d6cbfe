"""Bad input is met with one line that says what and what next, and the right exit code."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]

NO_CREDENTIALS = {"GOOGLE_APPLICATION_CREDENTIALS": "", "NO_GCE_CHECK": "true", "CLOUDSDK_CONFIG": "/nonexistent"}


def assert_one_clear_error(result: CompletedProcess[str], code: int, *words: str) -> None:
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["data", "scan", "absent"], 2, ["absent"]),
        (["data", "check", "--manifest", "absent.csv"], 2, ["absent.csv", "cxr data scan"]),
        (["cloud", "upload", "--manifest", "absent.csv"], 2, ["absent.csv", "cxr data scan"]),
        (["cloud", "status", "nothing"], 2, ["not in the journal"]),
        (["cloud", "train", "custom", "--recipe", "resnet9000"], 2, ["resnet9000", "cnn5"]),
        (["cloud", "jobs", "--state-dir"], 2, ["--state-dir"]),
        (["baseline", "train", "--recipe", "resnet9000"], 2, ["resnet9000", "cnn5"]),
        (["compare", "absent"], 2, ["absent", "cxr baseline train"]),
        (["demo", "--data", "absent"], 2, ["absent"]),
        (["demo", "--images", "3"], 2, ["--images"]),
        (["nonsense"], 2, ["nonsense"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_bad_input(run_cxr: Run, arguments: list[str], code: int, words: list[str]) -> None:
    assert_one_clear_error(run_cxr(*arguments), code, *words)


def test_google_without_credentials_is_exit_3_and_says_how_to_sign_in(run_cxr: Run, tmp_path: Path) -> None:
    assert run_cxr("data", "sample", "images", "--images", "80").returncode == 0
    assert run_cxr("data", "scan", "images").returncode == 0
    result = run_cxr(
        "cloud",
        "upload",
        "--on",
        "gcp",
        "--project",
        "p",
        "--bucket",
        "bucket",
        env={"HOME": str(tmp_path)} | NO_CREDENTIALS,
    )
    assert_one_clear_error(result, 3, "no Google credentials", "gcloud auth application-default login")


def test_google_without_a_project_is_a_usage_error(run_cxr: Run) -> None:
    assert run_cxr("data", "sample", "images", "--images", "80").returncode == 0
    assert run_cxr("data", "scan", "images").returncode == 0
    assert_one_clear_error(run_cxr("cloud", "upload", "--on", "gcp"), 2, "no project", "--project")
    assert_one_clear_error(run_cxr("cloud", "upload", "--on", "azure"), 2, "azure", "emulator, gcp")


def test_a_port_in_use_is_named(run_cxr: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert_one_clear_error(run_cxr("emulator", "start", "--port", port), 1, port)


def test_a_wrong_settings_file_is_named(run_cxr: Run, tmp_path: Path) -> None:
    (tmp_path / "cxr.toml").write_text("regoin = 'x'\n")
    assert_one_clear_error(run_cxr("cloud", "jobs"), 2, "regoin", "known keys")


def test_a_bug_shows_its_traceback_only_when_asked(run_cxr: Run) -> None:
    assert "Traceback" in run_cxr("cloud", "status", "nothing", env={"CXR_DEBUG": "1"}).stderr


def test_no_jobs_is_an_empty_list_and_not_an_error(run_cxr: Run) -> None:
    shown = run_cxr("cloud", "jobs", "--json")
    assert shown.returncode == 0
    assert json.loads(shown.stdout) == {"schema": "cxr.cloud.jobs", "schema_version": 1, "jobs": []}


def test_a_plan_for_google_needs_no_account_and_no_server(run_cxr: Run, tmp_path: Path) -> None:
    assert run_cxr("data", "sample", "images", "--images", "200").returncode == 0
    assert run_cxr("data", "scan", "images").returncode == 0
    assert run_cxr("data", "split").returncode == 0
    google = ["--on", "gcp", "--project", "p", "--bucket", "bucket", "--dry-run"]
    shown = run_cxr("cloud", "train", "automl", *google, "--json", env={"HOME": str(tmp_path)} | NO_CREDENTIALS)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["worst_case_usd"] == 18.0
    local = run_cxr("cloud", "train", "custom", "--dry-run")
    assert local.returncode == 0, local.stderr
    assert not (tmp_path / ".cxr").exists()


def test_a_name_that_is_no_unicode_is_refused_before_anything_is_written(run_cxr: Run, tmp_path: Path) -> None:
    result = run_cxr("data", "scan", os.fsdecode(b"images\xff"), cwd=tmp_path)
    assert_one_clear_error(result, 2, r"images\udcff is no name in UTF-8", "rename it")
    assert list(tmp_path.iterdir()) == []
