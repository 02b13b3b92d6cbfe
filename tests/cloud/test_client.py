"""The cloud client against the emulator, through the unmodified SDKs: uploads, datasets, launches, found jobs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import requests

from cxr.cloud.connection import Connection, connect
from cxr.cloud.emulator.process import ensure_running, stop
from cxr.cloud.jobs.asking import cancel_job, refresh
from cxr.cloud.jobs.attempts import latest_attempt
from cxr.cloud.jobs.journal import Job, Journal
from cxr.cloud.jobs.waiting import poll
from cxr.cloud.trainer.job import CustomOptions, job_output_url
from cxr.cloud.uploading import ManifestUpload, destination_of, plan_manifest_upload, send_manifest
from cxr.cloud.vertex.automl import AutoMLOptions, plan_automl
from cxr.cloud.vertex.clients import dataset_client, pipeline_client
from cxr.cloud.vertex.custom import plan_custom
from cxr.cloud.vertex.datasets import check_uploaded, ensure_dataset, find_dataset
from cxr.cloud.vertex.launches import launch_automl, launch_custom
from cxr.cloud.vertex.offers import choose_hardware
from cxr.errors import CheckFailed, Fault, InputError, NotAllowed, UsageError
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.sample import draw_sample
from cxr.manifests.scan.folder import scan
from cxr.manifests.splits.split import make_validation
from cxr.settings import Settings

L4 = choose_hardware("g2-standard-4")
# Jobs that last until they are ended: what is tested here is the client, not a training.
ENDLESS = "sh -c 'sleep 600' stand-in"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("data")
    draw_sample(folder / "images", images=200, seed=3)
    return write_manifest(make_validation(scan(folder / "images")), folder / "manifest.csv")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    settings = Settings(state_dir=tmp_path_factory.mktemp("client") / ".cxr")
    ensure_running(settings.emulator_dir, idle_exit_seconds=300, stand_in=ENDLESS)
    yield settings
    stop(settings.emulator_dir)


@pytest.fixture
def empty(work: Settings) -> Connection:
    """A bucket that does not exist yet."""
    return connect(replace(work, bucket=f"b-{uuid.uuid4().hex[:10]}"))


def plan_upload(connection: Connection, manifest: Manifest) -> ManifestUpload:
    with TemporaryDirectory() as folder:
        plan = plan_manifest_upload(destination_of(connection), manifest, Path(folder) / "plan.jsonl")
        if plan.totals.to_send.files:
            send_manifest(plan).require_complete("sent")
        return plan


@pytest.fixture
def uploaded(empty: Connection, manifest: Manifest) -> Connection:
    plan_upload(empty, manifest)
    return empty


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "jobs.jsonl")


def silent(_: str) -> None:
    pass


def test_an_upload_makes_a_private_bucket_and_is_nothing_the_second_time(empty: Connection, manifest: Manifest) -> None:
    first = plan_upload(empty, manifest)
    assert first.make_bucket
    assert "will be made" in dict(first.rows())["bucket"]
    second = plan_upload(empty, manifest)
    assert second.nothing_to_send
    assert second.warnings == ()


def test_another_split_of_the_same_images_is_something_to_send(uploaded: Connection, manifest: Manifest) -> None:
    plan = plan_upload(uploaded, make_validation(manifest, seed=8))
    assert plan.totals.to_send.files == 0
    assert not plan.nothing_to_send
    assert "to be sent" in dict(plan.rows())["manifest"]


def test_a_bucket_elsewhere_is_refused_by_upload_and_launch(
    uploaded: Connection, manifest: Manifest, journal: Journal
) -> None:
    elsewhere = replace(uploaded, region="europe-west4")
    with pytest.raises(UsageError, match="the jobs run in europe-west4"):
        plan_upload(elsewhere, manifest)
    options = CustomOptions("cnn5", L4)
    with pytest.raises(UsageError, match="the jobs run in europe-west4"):
        launch_custom(journal, plan_custom(elsewhere, manifest, options), manifest, options, on_step=silent)
    assert journal.jobs() == []


def test_launching_before_uploading_says_so_and_leaves_no_job(
    empty: Connection, manifest: Manifest, journal: Journal
) -> None:
    options = CustomOptions("cnn5", L4)
    with pytest.raises(InputError, match=r"200 images of the manifest are not at .*/images") as raised:
        launch_custom(journal, plan_custom(empty, manifest, options), manifest, options, on_step=silent)
    assert "cxr cloud upload" in str(raised.value.hint)
    assert journal.jobs() == []


def test_an_object_that_somebody_changed_is_noticed(uploaded: Connection, manifest: Manifest) -> None:
    uploaded.store("images").put_bytes(manifest.frame["path"].iloc[0], b"not that image")
    with pytest.raises(InputError, match="1 images of the manifest"):
        check_uploaded(uploaded, manifest)


def test_a_dataset_is_made_once_and_found_by_its_manifest(
    uploaded: Connection, manifest: Manifest, journal: Journal
) -> None:
    said: list[str] = []
    made = ensure_dataset(uploaded, journal, manifest, on_step=said.append)
    assert made.complete
    assert made.partial_failures == ()
    assert said[0] == "making the dataset"
    assert find_dataset(uploaded, manifest) == replace(made, partial_failures=())
    assert ensure_dataset(uploaded, journal, manifest, on_step=said.append).resource == made.resource
    (imported,) = journal.jobs()
    assert (imported.kind, imported.state, imported.details["dataset"]) == ("import", "SUCCEEDED", made.resource)
    assert imported.resource.startswith(f"{made.resource}/operations/")


def test_a_training_on_a_half_imported_dataset_is_not_paid_for(
    uploaded: Connection, manifest: Manifest, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_automl(uploaded, manifest, AutoMLOptions())
    # The manifest counts one image more than the service can find: as when a row's file is no image.
    monkeypatch.setattr("cxr.cloud.vertex.datasets.expected_items", lambda _: 201)
    with pytest.raises(CheckFailed, match="200 of 201 images were imported"):
        launch_automl(journal, plan, manifest, on_step=silent)
    assert [job.kind for job in journal.jobs()] == ["import"]


def test_a_job_carries_its_own_copy_of_the_manifest(uploaded: Connection, manifest: Manifest, journal: Journal) -> None:
    options = CustomOptions("cnn5", L4)
    plan = plan_custom(uploaded, manifest, options)
    launched = launch_custom(journal, plan, manifest, options, on_step=silent)
    header = json.loads(uploaded.store(f"jobs/{plan.job_id}").get_bytes("manifest.json"))
    assert header["content_hash"] == manifest.hash
    assert header["root"] == uploaded.images_url
    assert job_output_url(plan).endswith(launched.job.id)
    cancel_job(uploaded, launched.job)


def test_a_lost_journal_finds_the_job_by_its_label_and_says_that_it_did(
    uploaded: Connection, manifest: Manifest, journal: Journal, tmp_path: Path
) -> None:
    plan = plan_automl(uploaded, manifest, AutoMLOptions())
    first = launch_automl(journal, plan, manifest, on_step=silent)
    found = launch_automl(Journal(tmp_path / "other.jsonl"), plan, manifest, on_step=silent)
    assert (first.fresh, found.fresh) == (True, False)
    assert found.job.resource == first.job.resource
    cancel_job(uploaded, first.job)


def test_a_cancelled_job_gives_way_to_the_next_attempt(
    uploaded: Connection, manifest: Manifest, journal: Journal
) -> None:
    options = CustomOptions("cnn5", L4, seed=11)
    plan = plan_custom(uploaded, manifest, options)
    job = launch_custom(journal, plan, manifest, options, on_step=silent).job
    cancel_job(uploaded, job)
    ended = poll(
        lambda: refresh(uploaded, journal, journal.find(job.id)), lambda now: now.finished, longest_pause_s=0.5
    )
    assert ended.state == "CANCELLED"
    assert latest_attempt(uploaded, journal, plan, again=False).attempt == 2


def test_a_job_that_the_service_no_longer_knows_is_gone_and_can_be_launched_anew(
    uploaded: Connection, manifest: Manifest, journal: Journal
) -> None:
    plan = plan_custom(uploaded, manifest, CustomOptions("cnn5", L4, seed=12))
    job = journal.update(journal.intend(plan), resource=f"{uploaded.parent}/customJobs/404", state="RUNNING")
    assert latest_attempt(uploaded, journal, plan, again=False).attempt == 2
    assert journal.find(job.id).state == "GONE"


def test_a_job_without_an_answer_is_explained(uploaded: Connection, manifest: Manifest, journal: Journal) -> None:
    job = journal.intend(plan_custom(uploaded, manifest, CustomOptions("cnn5", L4, seed=13)))
    for ask in (lambda: refresh(uploaded, journal, job), lambda: cancel_job(uploaded, job)):
        with pytest.raises(UsageError, match="about to be launched"):
            ask()


def _faults(connection: Connection, *rules: dict[str, Any]) -> None:
    answer = requests.put(f"{connection.endpoint}/_emulator/faults", json={"rules": list(rules)}, timeout=120)
    assert answer.status_code == 200, answer.text


def test_an_answer_that_never_came_launches_nothing_twice(
    uploaded: Connection, manifest: Manifest, journal: Journal
) -> None:
    # The service makes the job, and its answer is lost: the launch asks again and finds it by its label.
    lost = {"operation": "aiplatform.trainingPipelines.create", "action": "status", "status": 503, "after": True}
    _faults(uploaded, {**lost, "times": 1})
    said: list[str] = []
    plan = plan_automl(uploaded, manifest, AutoMLOptions(budget_node_hours=3))
    try:
        launched = launch_automl(journal, plan, manifest, on_step=said.append)
    finally:
        _faults(uploaded)
    assert any(line.startswith("asking again: create the training pipeline") for line in said)
    request = {"parent": uploaded.parent, "filter": f'labels.cxr-run="{plan.job_id}"'}
    made = list(pipeline_client(uploaded).list_training_pipelines(request=request))
    assert [pipeline.name for pipeline in made] == [launched.job.resource]
    cancel_job(uploaded, launched.job)


@pytest.mark.parametrize("died", [False, True], ids=["the answer was lost", "the program died, too"])
def test_an_import_that_the_journal_never_heard_of_is_waited_for(
    uploaded: Connection, manifest: Manifest, journal: Journal, died: bool
) -> None:
    # The operation is found below the dataset.
    other = make_validation(manifest, seed=22 if died else 21)
    lost = {"operation": "aiplatform.datasets.import", "action": "status", "status": 503, "after": True, "times": 1}
    deaf = {"method": "GET", "path": r"/operations($|\?)", "action": "status", "status": 501}
    _faults(uploaded, lost, *([deaf] if died else []))
    try:
        if died:
            with pytest.raises(Fault):
                ensure_dataset(uploaded, journal, other, on_step=silent)
            (intended,) = journal.jobs()
            assert (intended.state, intended.resource) == ("INTENDED", "")
            _faults(uploaded)
        made = ensure_dataset(uploaded, journal, other, on_step=silent)
    finally:
        _faults(uploaded)
    assert made.complete
    operations = dataset_client(uploaded).transport.operations_client.list_operations(made.resource, "")
    assert sum("ImportData" in operation.metadata.type_url for operation in operations) == 1


def _ended(connection: Connection, journal: Journal, job: Job) -> Job:
    cancel_job(connection, job)
    return poll(
        lambda: refresh(connection, journal, journal.find(job.id)), lambda now: now.finished, longest_pause_s=0.5
    )


def test_the_second_attempt_is_found_when_the_journal_is_lost(
    uploaded: Connection, manifest: Manifest, journal: Journal, tmp_path: Path
) -> None:
    options = CustomOptions("cnn5", L4, seed=31)
    first = plan_custom(uploaded, manifest, options)
    _ended(uploaded, journal, launch_custom(journal, first, manifest, options, on_step=silent).job)
    second = latest_attempt(uploaded, journal, first, again=False)
    at_work = launch_custom(journal, second, manifest, options, on_step=silent)
    assert (second.attempt, at_work.fresh) == (2, True)

    other = Journal(tmp_path / "other" / "jobs.jsonl")
    found = latest_attempt(uploaded, other, first, again=False)
    assert found.job_id == second.job_id
    launched = launch_custom(other, found, manifest, options, on_step=silent)
    assert (launched.fresh, launched.job.resource) == (False, at_work.job.resource)
    assert next((job.id, job.state) for job in other.jobs()) == (first.job_id, "CANCELLED")
    cancel_job(uploaded, at_work.job)


def test_two_processes_make_one_dataset(uploaded: Connection, manifest: Manifest, journal: Journal) -> None:
    other = make_validation(manifest, seed=22)
    _faults(uploaded, {"operation": "aiplatform.datasets.create", "action": "latency", "seconds": 0.5})
    try:
        with ThreadPoolExecutor(2) as pool:
            both = list(pool.map(lambda _: ensure_dataset(uploaded, journal, other, on_step=silent), range(2)))
    finally:
        _faults(uploaded)
    assert len({state.resource for state in both}) == 1


def test_a_spent_quota_is_told_and_the_same_launch_goes_on_later(
    uploaded: Connection, manifest: Manifest, journal: Journal, tmp_path: Path
) -> None:
    state = tmp_path / ".cxr" / "emulator"
    ensure_running(state, idle_exit_seconds=300, stand_in=ENDLESS, quota_automl_jobs=1)
    there = connect(Settings(state_dir=state.parent))
    try:
        plan_upload(there, manifest)
        first = launch_automl(journal, plan_automl(there, manifest, AutoMLOptions()), manifest, on_step=silent)
        second = plan_automl(there, manifest, AutoMLOptions(budget_node_hours=2))
        with pytest.raises(NotAllowed, match="quota metrics exceed quota limits"):
            launch_automl(journal, second, manifest, on_step=silent)
        assert journal.find(second.job_id).state == "INTENDED"
        _ended(there, journal, first.job)
        launched = launch_automl(journal, second, manifest, on_step=silent)
        assert (launched.fresh, launched.job.id) == (True, second.job_id)
    finally:
        stop(state)
