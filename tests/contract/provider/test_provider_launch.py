"""Launches that happen once, whatever becomes of the program; failures and cancellations, on every cloud."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from provider_site import ENDLESS, FAILS, Site, wait_until

from cxr.cloud.failures.explaining import explain
from cxr.cloud.jobs.asking import cancel_job
from cxr.cloud.jobs.attempts import latest_attempt
from cxr.cloud.jobs.journal import Job, Journal

TRAIN = ("cloud", "train", "custom", "--recipe", "cnn5", "--epochs", "1", "--yes", "--json", "--seed")


@pytest.mark.slow
def test_a_plan_that_was_launched_is_found_and_not_launched_again(site: Site, trained: Job, tmp_path: Path) -> None:
    again = site.launch(1)
    assert (again.fresh, again.job.resource) == (False, trained.resource)
    other = site.launch(1, journal=Journal(tmp_path / "other" / "jobs.jsonl"))
    assert (other.fresh, other.job.resource) == (False, trained.resource)
    assert len(site.served(trained.id)) == 1


@pytest.mark.slow
def test_two_processes_that_launch_at_once_launch_one_job(site: Site) -> None:
    commands = [site.begin(*TRAIN, "31") for _ in range(2)]
    told = [command.communicate(timeout=400) for command in commands]
    assert [command.returncode for command in commands] == [0, 0], told
    documents = [json.loads(out) for out, _ in told]
    assert sorted(document["fresh"] for document in documents) == [False, True]
    assert len({document["resource"] for document in documents}) == 1
    assert len(site.served(documents[0]["job"])) == 1


@pytest.mark.slow
def test_a_failed_training_is_explained_with_the_next_step(scripted: Site) -> None:
    job = scripted.ended(scripted.launch(FAILS).job)
    assert job.state == "FAILED"
    assert job.error
    told = explain(job)
    assert told.cause == "program"
    assert "failed" in told.words
    assert f"cxr cloud logs {job.id}" in told.next_step
    assert told.show_log
    ended = scripted.cxr("cloud", "wait", job.id)
    assert ended.code == 4
    assert "the images are too dark" in ended.err
    assert f"cxr cloud logs {job.id}" in ended.err


def test_a_training_that_gets_no_machine_says_which_quota(scripted: Site) -> None:
    with scripted.quota_is_spent():
        job = scripted.ended(scripted.launch(41).job)
    assert job.state == "FAILED"
    told = explain(job)
    assert told.cause == "quota"
    assert "quota" in told.words
    assert "cxr cloud train custom" in told.next_step
    assert not told.show_log


def test_a_cancelled_training_gives_way_to_the_next_attempt(site: Site, tmp_path: Path) -> None:
    job = site.launch(ENDLESS).job
    site.until(job, lambda now: now.state == "RUNNING")
    cancel_job(site.connection, job)
    ended = site.ended(job)
    assert ended.state == "CANCELLED"
    cancel_job(site.connection, ended)  # one that has just ended is no error
    assert explain(ended).cause == "cancelled"
    waited = site.cxr("cloud", "wait", job.id, "--json")
    assert waited.code == 4
    assert waited.data["jobs"][0]["state"] == "CANCELLED"
    plan = site.plan(site.options(ENDLESS))
    assert latest_attempt(site.connection, site.journal, plan, again=False).attempt == 2
    # So it does where nothing is known of it.
    other = Journal(tmp_path / "other" / "jobs.jsonl")
    assert latest_attempt(site.connection, other, plan, again=False).attempt == 2
    assert [job.state for job in other.jobs()] == ["CANCELLED"]


@pytest.mark.slow
def test_a_wait_that_is_left_tells_the_command_that_goes_on(site: Site) -> None:
    job = site.launch(ENDLESS, attempt=4).job
    left = site.cxr("cloud", "wait", job.id, "--timeout-minutes", "0")
    assert left.code == 6, left.err
    assert f"cxr cloud wait {job.id}" in left.err
    cancel_job(site.connection, job)
    gone_on = site.cxr("cloud", "wait", job.id, "--json")
    assert gone_on.code == 4, gone_on.err
    assert gone_on.data["jobs"][0]["state"] == "CANCELLED"


@pytest.mark.slow
def test_the_program_of_a_cancelled_training_has_been_ended(scripted: Site) -> None:
    job = scripted.launch(ENDLESS, attempt=3).job
    wait_until(lambda: scripted.is_writing(job))
    cancel_job(scripted.connection, job)
    assert scripted.ended(job).state == "CANCELLED"
    texts = [line.text for line in scripted.provider.log_lines(scripted.connection, job)]
    assert not any(text.startswith("done in") for text in texts)
