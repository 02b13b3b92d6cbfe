"""What runs left is found by label and folder, priced, and deleted; what is nobody's of ours stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clean_site import HASH, IMPORT, Place, cleaning_emulator, new_place
from job_site import wait_until

from cxr.cloud.prices.storage import automl_nodes_price, storage_price
from cxr.settings import Settings

FOREVER = "exec sleep 600"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with cleaning_emulator(tmp_path_factory.mktemp("cleaning")) as settings:
        yield settings


@pytest.fixture
def place(settings: Settings) -> Iterator[Place]:
    with new_place(settings) as place:
        yield place


def sorts(listed: list[dict[str, Any]]) -> list[str]:
    return [one["sort"] for one in listed]


def test_a_whole_run_is_listed_with_its_price_and_deleted_in_order(place: Place) -> None:
    run, custom = "automl-00000000aa", "custom-00000000bb"
    dataset = place.dataset(labels=place.labels(IMPORT))
    _, model = place.automl(dataset, labels=place.labels(run))
    place.endpoint(model, labels=place.labels(run), models=2)
    done = place.custom("true", labels=place.labels(custom), out=f"{place.connection.base_url}/jobs/{custom}")
    place.wait(done)
    running = place.custom(FOREVER, labels=place.labels("custom-00000000cc"))
    for name in (f"jobs/{custom}/model/bundle.json", f"exports/{run}/a/model.tflite", f"import/{HASH[:16]}.jsonl"):
        place.put(name, b"x" * 1000)
    place.put("jobs/custom-00000000cc/manifest.csv")
    # Nobody's of ours: no label, or no run's folder.
    place.dataset()
    place.wait(place.custom("true"))
    foreign = {"jobs/mine/x", "import/mine.csv", "other/x", "other/import.csv"}
    for name in foreign - {"other/import.csv"}:
        place.put(name)
    assert place.cxr("attach", done, "--project", place.connection.project).code == 0

    listed = place.clean("--all", "--dry-run", "--json").data
    assert sorts(listed["delete"]) == [
        "endpoint", "model", "automl job", "custom job", "dataset", "objects", "objects", "objects",
    ]  # fmt: skip
    endpoint, *_ = listed["delete"]
    assert endpoint["usd_per_month"] == pytest.approx(2 * 1.375 * 730)
    assert listed["bytes"] == 3000
    assert listed["usd_per_month"] == pytest.approx(2 * 1.375 * 730 + 3000 / 2**30 * 0.02, abs=1e-6)
    assert {one["name"].rsplit("/", 1)[-1] for one in listed["kept"]} == {
        running.rsplit("/", 1)[-1],
        "custom-00000000cc",
    }
    assert all("cxr cloud cancel custom-00000000cc" in one["kept"] for one in listed["kept"])
    before = place.left()
    assert place.clean("--all").code == 2  # nobody there to confirm
    assert place.left() == before

    kept = place.clean("--all", "--keep-models", "--dry-run", "--json").data
    assert "model" in sorts(kept["kept"])
    assert f"jobs/{custom}/model/bundle.json" not in str(kept["delete"])

    said = place.clean("--all", "--yes")
    assert said.code == 0, said.error
    assert place.left() == {"datasets": 1, "pipelines": 0, "jobs": 2, "models": 0, "endpoints": 0}
    images = {f"images/{number}.jpeg" for number in range(24)}
    assert place.names() == foreign | images | {"jobs/custom-00000000cc/manifest.csv"}
    gone = place.journal.find(custom)
    assert (gone.state, bool(gone.cleaned)) == ("GONE", True)
    assert place.clean("--all", "--yes").err.count("nothing is left") == 1


def test_a_dataset_goes_with_the_last_run_of_its_manifest(place: Place) -> None:
    place.dataset(labels=place.labels(IMPORT))
    jobs = []
    for run in ("custom-00000000a1", "custom-00000000a2"):
        resource = place.custom("true", labels=place.labels(run))
        place.wait(resource)
        place.put(f"jobs/{run}/model/x")
        where = ["--project", place.connection.project, "--bucket", place.connection.bucket]
        assert place.cxr("attach", resource, *where).code == 0
        jobs.append(run)
    assert place.cxr("clean", jobs[0], "--yes").code == 0
    assert place.left() == {"datasets": 1, "pipelines": 0, "jobs": 1, "models": 0, "endpoints": 0}
    assert place.names("jobs/") == {f"jobs/{jobs[1]}/model/x"}
    assert place.cxr("clean", jobs[1], "--yes").code == 0
    assert place.left() == {"datasets": 0, "pipelines": 0, "jobs": 0, "models": 0, "endpoints": 0}
    assert place.names("jobs/") == set()


def test_what_fails_does_not_stop_the_rest_and_the_next_run_goes_on(place: Place) -> None:
    place.dataset(labels=place.labels(IMPORT))
    place.wait(place.custom("true", labels=place.labels("custom-00000000d1")))
    for number in range(3):
        place.put(f"jobs/custom-00000000d1/{number}")
    refused = {"action": "status", "status": 403}
    place.emulator(
        "faults",
        {
            "rules": [
                {"operation": "aiplatform.datasets.delete", **refused},
                {"operation": "storage.objects.delete", "object": "d1/1$", **refused},
            ]
        },
    )
    said = place.clean("--all", "--yes", "--json")
    assert said.code == 1
    assert said.error is not None
    assert "2 of 3 could not be deleted" in said.error.message
    assert [bool(one["failures"]) for one in said.data["removed"]] == [False, True, True]
    assert place.left()["jobs"] == 0
    assert place.names("jobs/") == {"jobs/custom-00000000d1/1"}
    place.emulator("faults")
    assert place.clean("--all", "--yes").code == 0
    assert place.left()["datasets"] == 0
    assert place.names("jobs/") == set()


def test_a_saved_list_is_applied_exactly_and_spares_what_has_changed_since(place: Place, tmp_path: Path) -> None:
    plan = tmp_path / "clean.jsonl"
    for name in ("a", "b"):
        place.put(f"jobs/custom-00000000e1/{name}")
    place.put("builds/image-0123456789/context.tar.gz")
    for _ in range(2):  # a saved list is replaced by a new one, and only that
        said = place.clean("--all", "--plan", str(plan))
        assert said.code == 0, said.error
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    assert place.clean("--all", "--plan", str(notes)).code == 2
    assert notes.read_text() == "mine"
    assert len(place.names()) == 3
    place.connection.store().replace_bytes("jobs/custom-00000000e1/a", b"written since")
    place.put("jobs/custom-00000000e1/new")
    applied = place.cxr("clean", "--apply", str(plan), "--yes")
    assert applied.code == 1
    assert "not deleted" in applied.err
    assert place.names() == {"jobs/custom-00000000e1/a", "jobs/custom-00000000e1/new"}
    plan.write_text("\n".join(plan.read_text().splitlines()[:-1]))
    torn = place.cxr("clean", "--apply", str(plan), "--yes")
    assert torn.code == 2
    assert torn.error is not None
    assert "is not a whole clean-up plan" in torn.error.message


def test_a_model_on_an_endpoint_of_somebody_else_stays(place: Place) -> None:
    dataset = place.dataset()
    _, model = place.automl(dataset, labels=place.labels("automl-00000000f1"))
    place.endpoint(model)
    listed = place.clean("--all", "--dry-run", "--json").data
    (kept,) = listed["kept"]
    assert kept["sort"] == "model"
    assert "which is not part of this" in kept["kept"]
    assert sorts(listed["delete"]) == ["automl job"]


def test_credentials_that_run_out_end_a_clean_up_and_the_next_run_goes_on(place: Place) -> None:
    place.dataset(labels=place.labels(IMPORT))
    place.wait(place.custom("true", labels=place.labels("custom-0000000081")))
    place.put("jobs/custom-0000000081/x")
    place.emulator(
        "faults", {"rules": [{"operation": "aiplatform.datasets.delete", "action": "status", "status": 401}]}
    )
    said = place.clean("--all", "--yes")
    assert said.code == 3
    assert said.error is not None
    assert "gcloud auth application-default login" in str(said.error.hint)
    assert (place.left()["jobs"], place.left()["datasets"]) == (0, 1)
    assert place.names("jobs/") == {"jobs/custom-0000000081/x"}  # the objects come last
    place.emulator("faults")
    assert place.clean("--all", "--yes").code == 0
    assert place.left()["datasets"] == 0
    assert place.names("jobs/") == set()


@pytest.mark.slow
def test_a_killed_clean_up_goes_on_at_the_next_run(place: Place) -> None:
    place.dataset(labels=place.labels(IMPORT))
    place.wait(place.custom("true", labels=place.labels("custom-0000000091")))
    place.put("jobs/custom-0000000091/x")
    stalled = {"operation": "aiplatform.datasets.delete", "action": "stall", "seconds": 60}
    place.emulator("faults", {"rules": [stalled]})
    where = ["--project", place.connection.project, "--bucket", place.connection.bucket]
    command = [sys.executable, "-m", "cxr", "cloud", "clean", "--all", "--yes", "--state-dir", str(place.state_dir)]
    with subprocess.Popen([*command, *where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as cleaning:
        wait_until(lambda: place.left()["jobs"] == 0)
        os.kill(cleaning.pid, signal.SIGKILL)
    assert place.names("jobs/") == {"jobs/custom-0000000091/x"}
    place.emulator("faults")
    assert place.clean("--all", "--yes").code == 0
    assert place.left()["datasets"] == 0
    assert place.names("jobs/") == set()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "say what to clean up"),
        ([""], "name"),
        (["--all", "--manifest", "manifest.csv"], "exclude each other"),
        (["--apply", "plan", "--all"], "stands alone"),
        (["--apply", "pyproject.toml"], "cannot read the plan"),
    ],
)
def test_what_is_meant_must_be_said(place: Place, args: list[str], words: str) -> None:
    said = place.clean(*args)
    assert said.code == 2
    assert said.error is not None
    assert words in said.error.message


def test_prices_are_those_of_the_table() -> None:
    assert storage_price(2**30, "us-central1").usd == pytest.approx(0.02)
    assert storage_price(2**30, "mars-north1").usd is None
    assert automl_nodes_price(1).usd == pytest.approx(1003.75)
