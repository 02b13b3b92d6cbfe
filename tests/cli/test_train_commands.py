"""`cxr cloud train` as a user types it: plans shown, saved, applied once, bounded; without a network where that is
promised."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from cxr.cloud.emulator.process import ensure_running, stop
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.sample import draw_sample
from cxr.manifests.scan.folder import scan
from cxr.manifests.splits.split import make_validation

Run = Callable[..., CompletedProcess[str]]
TINY_STAND_IN = Path(__file__).parents[1] / "cloud" / "emulator" / "tiny_stand_in.py"
GOOGLE = ("--on", "gcp", "--project", "p", "--bucket", "some-bucket")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a manifest, its images uploaded to the folder's emulator."""
    folder = tmp_path_factory.mktemp("train")
    draw_sample(folder / "images", images=160, seed=3)
    write_manifest(make_validation(scan(folder / "images")), folder / "manifest.csv")
    state = folder / ".cxr" / "emulator"
    ensure_running(state, stand_in=f"{sys.executable} {TINY_STAND_IN}", idle_exit_seconds=3_600)
    command = [sys.executable, "-m", "cxr", "cloud", "upload", "--yes", "--quiet"]
    subprocess.run(command, cwd=folder, check=True, timeout=300, stdout=subprocess.DEVNULL)
    yield folder
    stop(state)


def said(ended: CompletedProcess[str]) -> dict[str, Any]:
    assert ended.returncode == 0, ended.stderr
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


@pytest.mark.slow
def test_a_saved_plan_is_applied_exactly_and_only_once(run_cxr: Run, data: Path) -> None:
    shown = run_cxr("cloud", "train", "automl", "--budget-node-hours", "2", "--plan", "plan.json", cwd=data)
    assert shown.returncode == 0, shown.stderr
    assert "at most 36.00 USD" in shown.stdout
    assert "--apply plan.json" in shown.stderr
    assert not (data / ".cxr" / "jobs.jsonl").exists()

    apply = ("cloud", "train", "automl", "--apply", "plan.json", "--yes", "--json")
    both = [
        subprocess.Popen([sys.executable, "-m", "cxr", *apply], cwd=data, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [json.loads(process.communicate(timeout=300)[0]) for process in both]
    assert sorted(answer["fresh"] for answer in answers) == [False, True]
    assert {answer["job"] for answer in answers} == {json.loads((data / "plan.json").read_text())["job"]}
    third = said(run_cxr(*apply, cwd=data))
    assert (third["fresh"], third["resource"]) == (False, answers[0]["resource"])

    manifest = data / "manifest.csv"
    kept = manifest.read_text(), (data / "manifest.json").read_text()
    try:
        run_cxr("data", "split", "--seed", "11", cwd=data)
        refused = run_cxr(*apply, cwd=data)
    finally:
        manifest.write_text(kept[0])
        (data / "manifest.json").write_text(kept[1])
    assert (refused.returncode, "the manifest was" in refused.stderr) == (5, True)


def test_what_would_change_a_saved_plan_is_refused_beside_it(run_cxr: Run, data: Path) -> None:
    said(run_cxr("cloud", "train", "custom", "--plan", "gpu.json", "--json", cwd=data))
    refused = run_cxr("cloud", "train", "custom", "--apply", "gpu.json", "--recipe", "cnn5", cwd=data)
    assert (refused.returncode, "--recipe has no place beside it" in refused.stderr) == (2, True)
    refused = run_cxr("cloud", "train", "automl", "--apply", "gpu.json", cwd=data)
    assert (refused.returncode, "cxr cloud train custom --apply gpu.json" in refused.stderr) == (2, True)
    refused = run_cxr("cloud", "train", "custom", "--apply", "absent.json", cwd=data)
    assert (refused.returncode, "cannot read the plan absent.json" in refused.stderr) == (2, True)


def test_a_price_that_moved_stops_a_saved_plan(run_cxr: Run, data: Path) -> None:
    said(run_cxr("cloud", "train", "custom", "--plan", "gpu.json", "--json", cwd=data))
    own = data / "own.toml"
    own.write_text('[machines.g2-standard-4]\nusd_per_hour = 1.5\nread_on = "2026-11-21"\nsource = "our contract"\n')
    refused = run_cxr("cloud", "train", "custom", "--apply", "gpu.json", "--prices", "own.toml", cwd=data)
    assert refused.returncode == 5
    assert "cost at most 1.68 USD and now 3.05 USD" in refused.stderr
    shown = run_cxr("cloud", "prices", "--prices", "own.toml", cwd=data)
    assert "our contract" in shown.stdout


def test_more_than_max_cost_is_not_launched_and_not_saved(run_cxr: Run, data: Path) -> None:
    wanted = ("cloud", "train", "tune", "--trials", "40", "--max-cost", "25")
    refused = run_cxr(*wanted, "--plan", "dear.json", cwd=data)
    assert refused.returncode == 3
    assert "this may cost 33.59 USD, more than --max-cost 25" in refused.stderr
    assert not (data / "dear.json").exists()
    assert run_cxr(*wanted, "--yes", cwd=data).returncode == 3


def test_max_cost_is_not_promised_at_another_regions_price(run_cxr: Run, data: Path) -> None:
    elsewhere = ("cloud", "train", "custom", "--region", "europe-west4", "--max-cost", "100", "--plan")
    refused = run_cxr(*elsewhere, cwd=data)
    assert (refused.returncode, "the price is that of us-central1" in refused.stderr) == (3, True)
    assert run_cxr("cloud", "train", "custom", "--seed", "-1", "--plan", cwd=data).returncode == 2


@pytest.mark.slow
def test_a_plan_whose_job_was_cancelled_is_not_called_launched(run_cxr: Run, data: Path) -> None:
    plan = ("cloud", "train", "custom", "--recipe", "cnn5", "--seed", "77", "--plan")
    said(run_cxr(*plan, "cancelled plan.json", "--json", cwd=data))
    hint = run_cxr(*plan, "cancelled plan.json", cwd=data).stderr
    assert "--apply 'cancelled plan.json'" in hint
    apply = ("cloud", "train", "custom", "--apply", "cancelled plan.json", "--yes", "--json")
    job = said(run_cxr(*apply, cwd=data))["job"]
    said(run_cxr("cloud", "cancel", job, "--yes", "--json", cwd=data))
    assert run_cxr("cloud", "wait", job, cwd=data).returncode == 4
    refused = run_cxr(*apply, cwd=data)
    assert refused.returncode == 4
    assert f"{job} is CANCELLED" in refused.stderr
    assert "cxr cloud train custom --plan FILE" in refused.stderr


@pytest.mark.parametrize("kind", ["automl", "custom", "tune"])
def test_the_whole_plan_for_google_needs_no_network(run_cxr: Run, data: Path, tmp_path: Path, kind: str) -> None:
    alone = ["unshare", "--user", "--net", "--map-root-user"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody make a network namespace")
    command = [*alone, sys.executable, "-m", "cxr", "cloud", "train", kind, *GOOGLE, "--plan", "--json"]
    shown = subprocess.run(command, cwd=data, capture_output=True, text=True, timeout=300)
    plan = said(shown)
    assert plan["where"]["on"] == "gcp"
    assert plan["billed"] is True
    assert 0 < plan["expected_usd"] <= plan["worst_case_usd"]
    assert plan["makes"]
    assert plan["leaves_behind"]


def test_an_old_price_is_told_where_it_will_be_charged(run_cxr: Run, data: Path) -> None:
    own = data / "old.toml"
    own.write_text('[automl.mobile-versatile]\nusd_per_hour = 1.5\nread_on = "2020-01-01"\nsource = "our contract"\n')
    plan = ("cloud", "train", "automl", "--prices", "old.toml", "--plan", "--quiet")
    assert re.search(r"the price was read \d+ days ago.*--prices FILE", run_cxr(*plan, *GOOGLE, cwd=data).stderr)
    assert "days ago" not in run_cxr(*plan, cwd=data).stderr, "nothing is charged there"


def test_spot_replicas_and_gpus_are_in_the_plan(run_cxr: Run, data: Path) -> None:
    hardware = ("--machine", "g2-standard-24", "--gpus", "2", "--spot", "--replicas", "3")
    plan = said(run_cxr("cloud", "train", "custom", *hardware, "--plan", "--json", cwd=data))
    request = plan["request"]
    assert (request["gpus"], request["accelerator"], request["replicas"], request["spot"]) == (2, "NVIDIA_L4", 3, True)
    assert plan["worst_case_usd"] == pytest.approx(2 * 3 * (2.3006 + 100 * 0.1955 / 730), abs=0.01)
    assert "60% below the list price" in plan["cost"]["basis"]
    refused = run_cxr("cloud", "train", "custom", "--gpus", "4", "--plan", cwd=data)
    assert (refused.returncode, "--machine g2-standard-48" in refused.stderr) == (2, True)
