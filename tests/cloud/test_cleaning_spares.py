"""A clean-up spares what is of another bucket or prefix, what cxr never uploaded, and what is in use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clean_site import HASH, IMPORT, Place, being_launched, cleaning_emulator, new_place
from PIL import Image

from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.uploading import put_manifest
from cxr.cloud.vertex.datasets import find_dataset
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.scan.folder import scan
from cxr.settings import Settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with cleaning_emulator(tmp_path_factory.mktemp("cleaning")) as settings:
        yield settings


@pytest.fixture
def place(settings: Settings) -> Iterator[Place]:
    with new_place(settings) as place:
        yield place


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("data")
    for number, label in enumerate(("NORMAL", "PNEUMONIA"), 1):
        (folder / "images/train" / label).mkdir(parents=True)
        Image.new("L", (32, 32), number).save(folder / f"images/train/{label}/{number}.png")
    return write_manifest(scan(folder / "images"), folder / "manifest.csv")


def test_what_was_launched_for_another_prefix_is_not_part_of_it(place: Place, manifest: Manifest) -> None:
    alice, bob = place.at("alice"), place.at("bob")
    run = "automl-00000000a1"
    alice.automl(alice.dataset(labels=alice.labels(IMPORT, manifest.hash)), labels=alice.labels(run, manifest.hash))
    plain = {"cxr-manifest": manifest.hash[:32]}
    for name, site, told in (("a2", alice, True), ("b1", bob, True), ("b2", bob, True), ("c1", bob, False)):
        job = f"custom-00000000{name}"
        writes = f"{site.connection.base_url}/jobs/{job}" if told and name != "b1" else ""
        marks = site.labels(job, manifest.hash) if name == "b1" else {"cxr-run": job, **plain}
        earlier = site.custom("true", labels=marks, out=writes)
        place.wait(earlier)
    for args in (["--all"], ["--manifest", str(manifest.location)]):
        listed = bob.clean(*args, "--dry-run", "--json").data
        assert {one["run"] for one in listed["delete"]} == {"custom-00000000b1", "custom-00000000b2"}
        (kept,) = listed["kept"]
        assert "launched by an earlier version" in kept["kept"]
        assert "cxr cloud attach --all, then cxr cloud clean custom-00000000c1" in kept["kept"]
    assert bob.clean("--all", "--yes").code == 0
    assert place.left() == {"datasets": 1, "pipelines": 1, "jobs": 2, "models": 1, "endpoints": 0}
    assert place.cxr("clean", place.attach(earlier), "--yes").code == 0  # named
    assert place.left()["jobs"] == 1


def test_a_dataset_of_another_prefix_is_not_trained_on(place: Place, manifest: Manifest) -> None:
    alice, bob = place.at("alice"), place.at("bob")
    theirs = alice.dataset(labels=alice.labels(IMPORT, manifest.hash))
    assert find_dataset(bob.connection, manifest) is None
    found = find_dataset(alice.connection, manifest)
    assert found is not None
    assert found.resource == theirs


def test_only_images_of_the_manifest_in_the_bucket_are_deleted(place: Place, manifest: Manifest) -> None:
    place.put("images/train/NORMAL/1.png")
    place.put("images/holiday/photo.raw")
    (kept,) = place.clean("--all", "--images", "--dry-run", "--json").data["kept"]
    assert "there is none in the bucket" in kept["kept"]
    put_manifest(place.connection.store(), manifest, place.connection.images_url)
    said = place.clean("--all", "--images", "--yes", "--json")
    assert said.code == 0, said.error
    (kept,) = said.data["kept"]
    assert (kept["kept"], kept["objects"]) == ("not in the manifest", 1)
    assert "holiday/photo.raw" in kept["detail"]
    assert place.names() == {"images/holiday/photo.raw"}


def test_what_is_used_since_the_list_was_saved_stays(place: Place, manifest: Manifest, tmp_path: Path) -> None:
    dataset = place.dataset(labels=place.labels(IMPORT))
    _, model = place.automl(dataset, labels=place.labels("automl-00000000c1"))
    place.put("jobs/custom-00000000c2/model/x")
    put_manifest(place.connection.store(), manifest, place.connection.images_url)
    place.put("images/train/NORMAL/1.png")
    plan = tmp_path / "clean.jsonl"
    assert place.clean("--all", "--images", "--plan", str(plan)).code == 0
    before = place.names()
    for collection in ("trainingPipelines", "batchPredictionJobs"):
        place.stuck(collection)
        if collection == "trainingPipelines":
            place.pipeline(dataset, labels=place.labels("automl-00000000c3"))
        else:
            place.batch(model, 1)
    with being_launched(place, "custom-00000000c2"):
        applied = place.cxr("clean", "--apply", str(plan), "--yes", "--json")
    assert applied.code == 1
    failed = {one["sort"]: one["failures"] for one in applied.data["removed"] if one["failures"]}
    assert set(failed) == {"model", "dataset", "objects"}
    assert all("in use since the list was saved" in failure for (failure,) in failed.values())
    assert "batchPredictionJobs/" in failed["model"][0]
    assert "cxr cloud cancel automl-00000000c3" in failed["dataset"][0]
    assert place.names() >= before
    assert place.left()["pipelines"] == 1


def test_the_inputs_of_a_job_that_is_being_launched_stay(place: Place) -> None:
    place.dataset(labels=place.labels(IMPORT))
    runs = {age: f"custom-00000000d{age}" for age in (0, 2, 3)}
    for age, run in runs.items():
        place.put(f"jobs/{run}/trainer.whl")
        made = (datetime.now(UTC) - timedelta(days=age)).isoformat(timespec="seconds")
        where = place.connection
        place.journal.add(
            Job(
                run,
                JobKind.CUSTOM,
                where.on,
                where.project,
                where.region,
                where.bucket,
                where.prefix,
                HASH,
                run,
                created=made,
            )
        )
    place.put("jobs/automl-00000000d9/x")
    with being_launched(place, runs[2]), being_launched(place, "automl-00000000d9"):
        kept = place.clean("--all", "--yes", "--json").data["kept"]
    assert {one["sort"] + one["name"][-1]: one["kept"].split(":")[0] for one in kept} == {
        "objects0": f"the launch of {runs[0]} was not answered",
        "objects2": f"{runs[2]} is being launched",
        "objects9": "automl-00000000d9 is being launched",
        f"dataset{kept[0]['name'][-1]}": "automl-00000000d9 is being launched",
    }
    assert place.names("jobs/") == {f"jobs/{run}/trainer.whl" for run in (runs[0], runs[2])} | {
        "jobs/automl-00000000d9/x"
    }


def test_a_model_that_predicts_stays(place: Place) -> None:
    pipeline, model = place.automl(place.dataset(), labels=place.labels("automl-00000000e2"))
    place.stuck("batchPredictionJobs")
    place.batch(model, 1)
    listed = place.cxr("clean", place.attach(pipeline), "--dry-run", "--json").data
    (kept,) = listed["kept"]
    assert (kept["sort"], kept["name"]) == ("model", model)
    assert "batchPredictionJobs/" in kept["kept"]


def test_an_attached_job_of_a_run_that_has_others_is_cleaned_up_under_its_name(place: Place) -> None:
    marks = place.labels("custom-00000000f2")
    first, second = (place.attach(place.custom("true", labels=marks)) for _ in range(2))
    assert first == "custom-00000000f2"
    said = place.cxr("clean", second, "--yes")
    assert "cxr cloud clean custom-00000000f2" in said.err
    assert "no label" not in said.err
    assert place.left()["jobs"] == 2
    assert "no label" in place.cxr("clean", place.attach(place.custom("true")), "--yes").err
