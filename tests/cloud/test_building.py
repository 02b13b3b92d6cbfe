"""Building an image: the same context each time, one build a plan, found again after a crash, told when it fails."""

from __future__ import annotations

import io
import tarfile
import uuid
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.cloud.devtools.cloudbuild_v1", reason='needs the extra: pip install "cxr[gcp]"')

import requests

from cxr.cloud.building.context import build_context, digest_of, packed, write_context
from cxr.cloud.building.plan import BuildPlan, plan_build
from cxr.cloud.building.records import BuildRecords
from cxr.cloud.building.service import look_at_build, start_build
from cxr.cloud.connection import Connection, connect
from cxr.cloud.emulator.process import change_project, ensure_running, stop
from cxr.cloud.jobs.waiting import poll
from cxr.cloud.prices.table import price_table
from cxr.cloud.trainer.job import PUBLIC_IMAGE
from cxr.cloud.trainer.wheel import WHEEL_NAME
from cxr.cloud.vertex.prices import GOOGLE
from cxr.errors import UsageError
from cxr.settings import Settings

REPOSITORY = "us-central1-docker.pkg.dev/my-project/cxr"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    settings = Settings(state_dir=tmp_path_factory.mktemp("building") / ".cxr")
    url = ensure_running(settings.emulator_dir, idle_exit_seconds=300)
    change_project(url, {"build_seconds": 0})
    yield connect(replace(settings, bucket=f"b-{uuid.uuid4().hex[:10]}"))
    stop(settings.emulator_dir)


@pytest.fixture
def records(tmp_path: Path) -> BuildRecords:
    return BuildRecords(tmp_path / ".cxr")


FILES = build_context()


def plan(where: Connection, files: dict[str, bytes] | None = None, **changes: Any) -> BuildPlan:
    wishes: dict[str, Any] = {
        "repository": REPOSITORY,
        "name": "trainer",
        "tag": None,
        "base": PUBLIC_IMAGE,
        "machine": "e2-highcpu-8",
        "timeout_minutes": 30,
        "prices": price_table(None, GOOGLE),
    }
    return plan_build(where, files or FILES, **{**wishes, **changes})


def test_the_context_is_a_dockerfile_and_the_projects_own_wheel(tmp_path: Path) -> None:
    write_context(FILES, tmp_path / "image")
    text = (tmp_path / "image" / "Dockerfile").read_text()
    assert f"FROM {PUBLIC_IMAGE}\n" in text
    assert f"COPY {WHEEL_NAME} " in text
    assert '[trainer]"' in text
    assert text.index("pip install") < text.index("USER trainer") < text.index("ENTRYPOINT")
    assert 'ENTRYPOINT ["python3", "-m", "cxr.local_baseline.trainer"]' in text
    with zipfile.ZipFile(tmp_path / "image" / WHEEL_NAME) as wheel:
        assert "cxr/local_baseline/trainer.py" in wheel.namelist()


def test_the_packed_context_is_the_same_each_time_and_names_nobody() -> None:
    data = packed(FILES)
    assert data == packed(dict(reversed(FILES.items())))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert {one.name: (one.uid, one.uname, one.mtime) for one in archive} == dict.fromkeys(FILES, (0, "", 0))
    assert digest_of(FILES) != digest_of({**FILES, "Dockerfile": b"FROM x\n"})


@pytest.mark.parametrize("base", ["", "image\nRUN rm", "$(x)", "-f"])
def test_a_base_that_is_no_image_does_not_get_into_a_dockerfile(base: str) -> None:
    with pytest.raises(UsageError, match="is no image"):
        build_context(base)


@pytest.mark.parametrize(
    "changes",
    [
        {"repository": "gcr.io/my-project"},
        {"repository": "us-central1-docker.pkg.dev/my-project"},
        {"name": "Trainer"},
        {"tag": "a b"},
        {"machine": "n2-huge"},
        {"timeout_minutes": 0},
        {"timeout_minutes": 1441},
    ],
    ids=str,
)
def test_a_build_that_cannot_be_is_refused_before_anybody_is_asked(work: Connection, changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        plan(work, **changes)


def test_a_plan_says_what_it_costs_at_most(work: Connection) -> None:
    made = plan(work)
    assert made.worst_usd == pytest.approx(30 * 0.016)
    rows = dict(made.rows(make_bucket=True))
    assert rows["cost"].startswith("nothing here; on Google at most 0.48 USD (0.016 USD a build minute, read 2026-")
    assert "will be made" in rows["bucket"]
    assert made.image == f"{REPOSITORY}/trainer:{made.context_digest[:12]}"
    assert plan(work).id == made.id
    assert plan(work, machine="e2-medium").id != made.id


def end_of(where: Connection, records: BuildRecords, build_id: str) -> Any:
    return poll(
        lambda: look_at_build(where, records, records.find(build_id)), lambda now: now.finished, longest_pause_s=0.5
    )


def test_a_build_ends_with_the_images_digest(work: Connection, records: BuildRecords) -> None:
    made = plan(work)
    started = start_build(records, made, packed(FILES), make_bucket=True)
    assert started.resource.startswith(f"{work.parent}/builds/")
    ended = end_of(work, records, made.id)
    assert ended.state == "SUCCESS"
    assert ended.uri.startswith(f"{REPOSITORY}/trainer@sha256:")
    assert "imulated" in ended.detail
    assert records.get(made.id) == ended


def test_a_build_whose_record_was_lost_is_found_by_its_tag(
    work: Connection, records: BuildRecords, tmp_path: Path
) -> None:
    made = plan(work, name="found")
    first = start_build(records, made, packed(FILES), make_bucket=True)
    again = start_build(BuildRecords(tmp_path / "other"), made, packed(FILES), make_bucket=False)
    assert again.resource == first.resource
    requests.post(f"{work.endpoint}/v1/{first.resource}:cancel", json={}, timeout=120)


def test_two_processes_that_start_the_same_build_start_one(work: Connection, records: BuildRecords) -> None:
    made = plan(work, name="twice")
    start_build(records, plan(work, name="bucket"), packed(FILES), make_bucket=True)
    slow = {"operation": "cloudbuild.builds.create", "action": "latency", "seconds": 1}
    requests.put(f"{work.endpoint}/_emulator/faults", json={"rules": [slow]}, timeout=120).raise_for_status()
    try:
        with ThreadPoolExecutor(2) as both:  # the lock is a file's: it parts threads as it parts processes
            jobs = [
                both.submit(start_build, BuildRecords(records.state_dir), made, packed(FILES), make_bucket=False)
                for _ in range(2)
            ]
            resources = {job.result().resource for job in jobs}
    finally:
        requests.delete(f"{work.endpoint}/_emulator/faults", timeout=120)
    assert len(resources) == 1
    listed = requests.get(
        f"{work.endpoint}/v1/{work.parent}/builds", params={"filter": f'tags="{made.id}"'}, timeout=120
    )
    assert len(listed.json()["builds"]) == 1


@pytest.mark.parametrize("start", ["", "image", "image-"])
def test_too_little_of_an_id_names_no_build(work: Connection, records: BuildRecords, start: str) -> None:
    records.intend(plan(work, name="alone"))
    with pytest.raises(UsageError, match="was not started from this folder"):
        records.find(start)


def test_a_build_that_failed_says_why_and_is_started_anew(work: Connection, records: BuildRecords) -> None:
    files = {"Dockerfile": b"FROM x\nCOPY gone /\n"}
    made = plan(work, files, name="failing")
    first = start_build(records, made, packed(files), make_bucket=True)
    ended = end_of(work, records, made.id)
    assert (ended.state, ended.uri) == ("FAILURE", "")
    assert "gone: not found in the build context" in ended.detail
    assert start_build(records, made, packed(files), make_bucket=False).resource != first.resource


def test_a_build_without_an_answer_is_explained(work: Connection, records: BuildRecords) -> None:
    intended = records.intend(plan(work, name="unanswered"))
    with pytest.raises(UsageError, match="was about to be started"):
        look_at_build(work, records, intended)
    with pytest.raises(UsageError, match="was not started from this folder"):
        records.find("image-nothing")
