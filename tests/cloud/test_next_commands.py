"""The next command that a message names can be typed as it stands: paths quoted, the same place, the same state folder;
and what a crash left in the journal is repaired where it was to run."""

from __future__ import annotations

import io
import re
import shlex
import shutil
from contextlib import redirect_stdout
from dataclasses import replace

import pytest
import requests
from job_site import MEASURE, JobSite
from service_site import Ended, Site
from typer.testing import CliRunner

from cxr.cli.main import app
from cxr.cloud.connection import connect
from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind
from cxr.settings import Target

REPOSITORY = "us-central1-docker.pkg.dev/my-project/cxr"
ELSEWHERE = ("--region", "europe-west4", "--bucket", "eu-b")


@pytest.fixture(scope="module", autouse=True)
def odd_manifest(site: Site) -> None:
    for ending in (".csv", ".json"):
        shutil.copy(site.folder / f"manifest{ending}", site.folder / f"my man{ending}")


@pytest.fixture
def jobs(site: Site) -> JobSite:
    return JobSite(site.folder, site.connection)


def next_commands(ended: Ended) -> list[str]:
    """The commands after `next:` on stderr; each is understood by the command line as it stands."""
    commands = [line.partition("next: ")[2] for line in ended.stderr.splitlines() if "next: cxr " in line]
    for command in commands:
        program, *words = shlex.split(command)
        assert program == "cxr"
        with redirect_stdout(io.StringIO()):
            result = CliRunner().invoke(app, [*words, "--help"])
        assert result.exit_code == 0, f"{command}: {result.output}"
    return commands


def test_a_manifest_with_a_blank_in_its_name_is_quoted(site: Site) -> None:
    done = site.cxr("cloud", "dataset", "-m", "my man.csv", "--bucket", "cxr-tests", "--yes")
    assert done.code == 0, done.stderr
    (command,) = next_commands(done)
    place = f"--bucket cxr-tests --state-dir {site.settings.state_dir}"
    assert command == f"cxr cloud train automl --manifest 'my man.csv' {place}"


def test_a_refused_launch_names_the_upload_to_the_place_of_the_launch(site: Site) -> None:
    place = ("--region", "europe-west4", "--bucket", "nope-b")
    done = site.cxr("cloud", "train", "custom", "--recipe", "cnn5", *place, "--yes")
    assert done.code == 5, done.stderr
    (command,) = next_commands(done)
    assert command.startswith("cxr cloud upload ")
    words = shlex.split(command)
    for flag, value in zip([*place[::2], "--state-dir"], [*place[1::2], str(site.settings.state_dir)], strict=True):
        assert words[words.index(flag) + 1] == value


def test_a_build_is_followed_with_the_same_state_folder(site: Site) -> None:
    url = f"{site.connection.endpoint}/_emulator/project"
    requests.put(url, json={"build_seconds": 3600}, timeout=120).raise_for_status()
    build = ("cloud", "image", "--build", "--repository", REPOSITORY, "--bucket", "cxr-tests", "--yes")
    (command,) = next_commands(site.cxr(*build, "--no-wait"))
    assert re.fullmatch(rf"cxr cloud image --follow image-\w+ --state-dir {site.settings.state_dir}", command)
    requests.put(url, json={"build_seconds": 0}, timeout=120).raise_for_status()
    ended = site.cxr(*build, "--name", "second")
    assert ended.code == 0, ended.stderr
    (command,) = next_commands(ended)
    assert command.startswith(f"cxr cloud train custom --image {REPOSITORY}/second@sha256:")
    assert command.endswith(f" --bucket cxr-tests --state-dir {site.settings.state_dir}")
    written = site.cxr("cloud", "image", "--out", "my image")
    assert "next: docker build --tag cxr-trainer 'my image'\n" in written.stderr


@pytest.mark.slow
def test_job_commands_name_each_other_with_the_state_folder(site: Site, jobs: JobSite) -> None:
    end = site.folder / "end-tuning"
    attached = site.cxr("cloud", "attach", jobs.tuning(f"while [ ! -e {end} ]; do sleep 0.1; done; {MEASURE}"))
    (command,) = next_commands(attached)
    end.touch()
    job = command.split()[3]
    with_state = f"--state-dir {site.settings.state_dir}"
    assert command == f"cxr cloud wait {job} {with_state}"
    waited = site.cxr("cloud", "wait", job)
    assert next_commands(waited) == [f"cxr cloud export {job} {with_state}"], waited.stderr
    assert next_commands(site.cxr("cloud", "trials", job)) == [f"cxr cloud export {job} {with_state}"]
    refused = site.cxr("cloud", "trials", site.write_down(replace(intended(site), resource="r", state="RUNNING")).id)
    assert next_commands(refused) == [f"cxr cloud jobs {with_state}"]
    early = site.cxr("cloud", "evaluate", site.write_down(replace(intended(site), id="automl-1", kind="automl")).id)
    assert all(with_state in command for command in next_commands(early))


def intended(site: Site) -> Job:
    """A job as it stands in the journal before the service has answered."""
    where = site.connection
    return Job(
        "custom-00000000ee", JobKind.CUSTOM, Target.EMULATOR, where.project, "us-central1", where.bucket, "cxr", "", ""
    )


def test_a_launch_that_was_killed_is_repaired_where_it_was_to_run(site: Site, jobs: JobSite) -> None:
    there = connect(replace(site.settings, region="europe-west4", bucket="eu-b"))
    lost = site.write_down(replace(intended(site), id="custom-00000000ff", region="europe-west4", bucket="eu-b"))
    never = site.write_down(replace(lost, id="custom-00000000fe"))
    JobSite(site.folder, there).custom("exec sleep 600", labels={"cxr-run": lost.id})
    for command in ("status", "logs", "cancel"):
        refused = site.cxr("cloud", command, lost.id)
        assert refused.code == 2
        (repair,) = next_commands(refused)
        words = shlex.split(repair)
        assert words[:4] == ["cxr", "cloud", "attach", "--all"]
        assert [words[words.index(flag) + 1] for flag in ELSEWHERE[::2]] == list(ELSEWHERE[1::2])
    # Also without the place: the journal knows it.
    repaired = site.cxr("cloud", "attach", "--all", "--json")
    assert repaired.code == 0, repaired.stderr
    assert lost.id in [job["id"] for job in repaired.document["jobs"]]
    found = site.journal.find(lost.id)
    assert (found.resource != "", found.region, found.bucket) == (True, "europe-west4", "eu-b")
    assert f"{never.id} was not found in {never.project}, europe-west4" in repaired.stderr
    assert site.cxr("cloud", "cancel", lost.id, "--yes").code == 0


def test_one_entry_that_is_not_whole_does_not_stop_the_others(site: Site, jobs: JobSite) -> None:
    job = site.cxr("cloud", "attach", jobs.custom("exec sleep 600"), "--json").document["jobs"][0]["id"]
    before = site.settings.journal_path.read_bytes()
    try:
        with site.settings.journal_path.open("a") as stream:
            stream.write('{"id": "x", "state": "RUNNING"}\n')
        line = len(site.settings.journal_path.read_text().splitlines())
        listed = site.cxr("cloud", "jobs", "--json")
        assert job in [one["id"] for one in listed.document["jobs"]]
        assert f"line {line}: the entry of the job 'x' is incomplete" in listed.stderr
        assert site.cxr("cloud", "cancel", "", "--yes").code == 2
        assert site.cxr("cloud", "cancel", "custo", "--yes").code == 2
        assert not site.journal.find(job).finished
        assert site.cxr("cloud", "cancel", job, "--yes").code == 0
    finally:
        assert b'"id": "x"' in site.settings.journal_path.read_bytes()
        site.settings.journal_path.write_bytes(before)


def test_a_dataset_that_lacks_images_is_a_failed_check(site: Site) -> None:
    url = f"{site.connection.endpoint}/_emulator/outcomes"
    rule = {"resource": "datasets", "outcome": "import-failures", "rows": ["IM-0000"], "message": "broken"}
    moved = ("--region", "europe-west4", "--bucket", "eu-dataset", "-m", "my man.csv")
    assert site.cxr("cloud", "upload", *moved, "--yes").code == 0
    requests.put(url, json={"rules": [rule]}, timeout=120).raise_for_status()
    try:
        done = site.cxr("cloud", "dataset", *moved, "--yes", "--json")
        accepted = site.cxr("cloud", "dataset", *moved, "--yes", "--allow-partial")
    finally:
        requests.delete(url, timeout=120)
    assert done.code == 5, done.stderr
    assert done.document["complete"] is False
    assert 0 < done.document["items"] < done.document["expected_items"]
    assert "images were imported" in done.stderr
    assert "--region europe-west4 --bucket eu-dataset" in done.stderr
    assert accepted.code == 0, accepted.stderr
    (command,) = next_commands(accepted)
    assert "--manifest 'my man.csv' --allow-partial" in command
