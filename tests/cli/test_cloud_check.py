"""`cxr cloud check`, `cxr cloud image` and `cxr emulator project` as a user types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("google.cloud.service_usage_v1", reason='needs the extra: pip install "cxr[gcp]"')

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from PIL import Image
from typer.testing import CliRunner

from cxr.cli.main import app
from cxr.cloud.emulator.process import change_project, ensure_running, stop
from cxr.errors import InputError, UsageError
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.scan.folder import scan

REPOSITORY = "us-central1-docker.pkg.dev/my-project/cxr"
EMAIL = "trainer@my-project.iam.gserviceaccount.com"
#: pytest may have been started in the background, where SIGINT is ignored and children inherit that.
WITH_CTRL_C = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "import sys; sys.argv[0] = 'cxr'; from cxr.cli.main import main; main()"
)
Cxr = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with a manifest and a running emulator."""
    folder, rng = tmp_path_factory.mktemp("checked"), np.random.default_rng(4)
    for split in ("train", "val", "test"):
        for label in ("NORMAL", "PNEUMONIA"):
            (folder / "images" / split / label).mkdir(parents=True)
            for number in range(26):
                picture = Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8))
                picture.save(folder / "images" / split / label / f"{split}-{label}-{number}.png")
    write_manifest(scan(folder / "images"), folder / "manifest.csv")
    ensure_running(folder / ".cxr" / "emulator", idle_exit_seconds=3_600)
    yield folder
    stop(folder / ".cxr" / "emulator")


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    url = ensure_running(folder / ".cxr" / "emulator")
    yield url
    change_project(url, {})


@pytest.fixture
def cxr(folder: Path, run_cxr: Cxr) -> Cxr:
    def run(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return run_cxr("cloud", *args, cwd=folder, **options)

    return run


def test_a_check_is_a_table_with_what_to_do_and_after_the_upload_all_is_well(cxr: Cxr, url: str) -> None:
    before = cxr("check", "--bucket", "checked-1")
    assert before.returncode == 5, before.stderr
    assert "error    bucket" in before.stdout
    assert "skipped  images" in before.stdout
    assert "next" in before.stdout
    assert "cxr cloud upload --manifest manifest.csv" in before.stderr
    assert cxr("upload", "--bucket", "checked-1", "--yes", "-q").returncode == 0
    after = cxr("check", "--for", "custom", "--spot", "--bucket", "checked-1", "--json")
    assert after.returncode == 0, after.stderr
    told = json.loads(after.stdout)
    assert (told["ok"], told["errors"], told["warnings"], told["for"]) == (True, 0, 0, "custom")
    assert {one["level"] for one in told["findings"]} == {"ok"}


def test_permission_is_exit_code_3_and_every_finding_is_in_the_json(cxr: Cxr, url: str) -> None:
    change_project(url, {"denied_permissions": ["storage.buckets.get"]})
    done = cxr("check", "--for", "automl", "--budget-node-hours", "1000", "--manifest", "nothing.csv", "--json")
    assert done.returncode == 3, done.stderr
    findings = json.loads(done.stdout)["findings"]
    errors = {one["check"]: one for one in findings if one["level"] == "error"}
    assert set(errors) == {"manifest", "bucket", "budget"}
    assert errors["manifest"]["resource"] == "nothing.csv"
    assert errors["bucket"]["denied"] is True
    assert "permission storage.buckets.get is missing" in errors["bucket"]["cause"]


def test_an_unknown_kind_is_a_usage_error() -> None:
    refused = CliRunner().invoke(app, ["cloud", "check", "--for", "lunch"]).exception
    assert isinstance(refused, UsageError)
    assert "lunch" in refused.message
    assert "automl, custom, tune" in str(refused.hint)


def checked(folder: Path, *args: str) -> dict[str, dict[str, str]]:
    """The findings of a check made in this process, by what was checked."""
    where = ["--state-dir", str(folder / ".cxr"), "--manifest", str(folder / "manifest.csv")]
    where = where[:2] if "--plan" in args else where
    result = CliRunner().invoke(app, ["cloud", "check", *args, *where, "--json"])
    return {one["check"]: one for one in json.loads(result.stdout)["findings"]}


def test_a_tuning_job_is_checked_with_all_its_trials(folder: Path, url: str) -> None:
    found = checked(folder, "--for", "tune")
    assert "10 trials, 2 at once" in found["machine"]["cause"]
    assert "at most 8.40 USD for 10 h" in found["price"]["cause"]
    assert found["quota"]["cause"].startswith("2 x NVIDIA_L4 wanted")
    wanted = ("--trials", "30", "--parallel", "5", "--trial-timeout-hours", "0.5", "--disk-gb", "500")
    found = checked(folder, "--for", "tune", "--machine", "n1-standard-4", "--accelerator", "NVIDIA_TESLA_T4", *wanted)
    assert "at most 11.32 USD for 15 h" in found["price"]["cause"]  # 15 h x (0.2185 + 0.4025 + 500 GB x 0.1955 / 730)
    assert found["quota"]["cause"].startswith("5 x NVIDIA_TESLA_T4 wanted")
    assert checked(folder, "--for", "tune", "--trials", "2", "--parallel", "3")["machine"]["level"] == "error"
    refused = CliRunner().invoke(app, ["cloud", "check", "--for", "tune", "--replicas", "2"]).exception
    assert isinstance(refused, UsageError)
    assert "--parallel" in str(refused.hint)


def test_the_price_of_another_region_is_a_warning(folder: Path, url: str, tmp_path: Path) -> None:
    found = checked(folder, "--for", "custom", "--region", "europe-west1")["price"]
    assert found["level"] == "warning"
    assert "the price of us-central1, not of europe-west1" in found["cause"]
    assert "--prices FILE" in found["next"]
    own = tmp_path / "own.toml"
    entry = 'read_on = "2026-11-21"\nsource = "our contract"\nregion = "europe-west1"\nusd_per_hour = 2.0\n'
    own.write_text(f"[machines.g2-standard-4]\n{entry}")
    found = checked(folder, "--for", "custom", "--region", "europe-west1", "--prices", str(own))["price"]
    assert (found["level"], "at most 4.05 USD" in found["cause"]) == ("ok", True)


def test_a_saved_plan_is_checked_exactly(folder: Path, url: str, tmp_path: Path) -> None:
    plan, manifest = str(tmp_path / "plan.json"), str(folder / "manifest.csv")
    wanted = ["--trials", "6", "--parallel", "3", "--machine", "g2-standard-24", "--bucket", "planned-1"]
    where = ["--state-dir", str(folder / ".cxr"), "--manifest", manifest]
    made = CliRunner().invoke(app, ["cloud", "train", "tune", *wanted, *where, "--recipe", "cnn5", "--plan", plan])
    assert made.exit_code == 0, made.stderr
    worst = json.loads(Path(plan).read_text())["worst_case_usd"]
    found = checked(folder, "--plan", plan)
    assert f"at most {worst:,.2f} USD for 6 h" in found["price"]["cause"]
    assert found["quota"]["cause"].startswith("6 x NVIDIA_L4 wanted")
    assert found["bucket"]["resource"] == "gs://planned-1"
    assert found["bucket"]["next"].endswith(f" --bucket planned-1 --state-dir {folder / '.cxr'}")
    for args, words in ((["--machine", "g2-standard-4"], "--machine"), (["--for", "custom"], "plan of a tune job")):
        refused = CliRunner().invoke(app, ["cloud", "check", "--plan", plan, *args]).exception
        assert isinstance(refused, UsageError)
        assert words in refused.message
    document = json.loads(Path(plan).read_text())
    del document["request"]["machine"]
    Path(plan).write_text(json.dumps({**document, "manifest_hash": "0" * 64}))
    refused = CliRunner().invoke(app, ["cloud", "check", "--plan", plan]).exception
    assert isinstance(refused, InputError)
    assert "'machine'" in refused.message


def test_an_upload_is_refused_before_anything_is_listed(cxr: Cxr, url: str) -> None:
    change_project(url, {"denied_permissions": ["storage.buckets.get"]})
    done = cxr("upload", "--bucket", "checked-2", "--yes")
    assert done.returncode == 3
    assert "bucket: cannot be checked: permission storage.buckets.get is missing" in done.stderr


def test_expired_credentials_stop_a_check_on_google_before_google_is_asked(cxr: Cxr, url: str, tmp_path: Path) -> None:
    change_project(url, {"refused_accounts": [EMAIL]})
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    text = key.private_bytes(*form).decode()
    account = {"type": "service_account", "client_email": EMAIL, "private_key": text, "token_uri": f"{url}/token"}
    path = tmp_path / "key.json"
    path.write_text(json.dumps({**account, "private_key_id": "1", "client_id": "1", "project_id": "my-project"}))
    google = ("--on", "gcp", "--project", "my-project", "--bucket", "my-bucket")
    done = cxr("check", "--for", "custom", *google, env={"GOOGLE_APPLICATION_CREDENTIALS": str(path)})
    assert done.returncode == 3, done.stderr
    assert f"service account {EMAIL} is refused" in done.stderr
    assert text.splitlines()[1] not in done.stdout + done.stderr


def test_the_emulators_project_is_shown_and_changed(folder: Path, run_cxr: Cxr, url: str, tmp_path: Path) -> None:
    document = tmp_path / "project.json"
    document.write_text('{"disabled_services": ["cloudbuild.googleapis.com"]}')
    done = run_cxr("emulator", "project", "--file", str(document), "--json", cwd=folder)
    assert json.loads(done.stdout)["disabled_services"] == ["cloudbuild.googleapis.com"], done.stderr
    document.write_text('{"colour": "red"}')
    refused = run_cxr("emulator", "project", "--file", str(document), cwd=folder)
    assert (refused.returncode, "unknown field 'colour'" in refused.stderr) == (2, True)


@pytest.mark.slow
def test_an_image_is_written_and_built_once(cxr: Cxr, url: str, folder: Path) -> None:
    change_project(url, {"build_seconds": 0})
    build = ("image", "--build", "--repository", REPOSITORY, "--yes")
    first = cxr(*build, "--out", "image")
    assert first.returncode == 0, first.stderr
    assert (folder / "image" / "Dockerfile").is_file()
    assert first.stdout.splitlines()[-1].startswith(f"{REPOSITORY}/cxr-trainer@sha256:")
    assert "0.27 USD" in first.stdout
    assert "simulated" in first.stderr
    again = cxr(*build, "--json")
    told = json.loads(again.stdout)
    assert (told["uri"], told["simulated"]) == (first.stdout.splitlines()[-1], True)
    assert "this build is already" in again.stderr


def test_a_build_is_not_started_without_its_api(cxr: Cxr, url: str) -> None:
    change_project(url, {"disabled_services": ["cloudbuild.googleapis.com"]})
    done = cxr("image", "--build", "--repository", REPOSITORY, "--name", "off", "--yes")
    assert done.returncode == 5
    assert "gcloud services enable cloudbuild.googleapis.com" in done.stderr


def test_the_plan_of_a_build_on_google_needs_no_network(cxr: Cxr) -> None:
    google = ("--on", "gcp", "--project", "my-project", "--bucket", "my-bucket")
    done = cxr("image", "--build", "--repository", REPOSITORY, *google, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "at most 0.27 USD (0.006 USD a build minute, read 2026-" in done.stdout
    assert "gcloud artifacts repositories create cxr" in done.stderr


@pytest.mark.slow
def test_ctrl_c_leaves_the_build_running_and_says_how_to_look(url: str, folder: Path) -> None:
    change_project(url, {"build_seconds": 3600})
    arguments = ["cloud", "image", "--build", "--repository", REPOSITORY, "--name", "slow", "--yes"]
    process = subprocess.Popen(
        [sys.executable, "-c", WITH_CTRL_C, *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("CXR_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    heard = ""
    while "QUEUED" not in heard and (line := process.stderr.readline()):
        heard += line
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=300)
    assert process.returncode == 6, heard + rest
    assert "goes on without this program" in rest
    build = rest.rpartition("--follow ")[2].split()[0]
    record = json.loads((folder / ".cxr" / "builds" / f"{build}.json").read_text())
    assert record["state"] == "QUEUED"
