"""Programs that are killed lose nothing: the next one finds the job, and launches none beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from provider_site import SLOW, Site
from relay import Relay, lead_to, relay_to

from cxr.cloud.jobs.attaching import attach_all, unanswered_jobs
from cxr.cloud.jobs.attempts import latest_attempt
from cxr.cloud.jobs.journal import Journal

pytestmark = pytest.mark.slow

TRAIN = ("cloud", "train", "custom", "--recipe", "cnn5", "--epochs", "1", "--yes", "--seed")


@contextmanager
def relayed(site: Site) -> Iterator[tuple[Site, Relay]]:
    """A folder of its own at the same place, whose programs ask the server through a relay."""
    assert site.cloud is not None
    assert site.connection.endpoint is not None
    with relay_to(site.connection.endpoint) as relay:
        other = site.beside("relayed", prefix=site.connection.prefix)
        lead_to(relay.url, site.cloud.state(site.settings), site.cloud.state(other.settings))
        yield other, relay


def test_a_launch_killed_before_it_wrote_the_name_down_is_found_and_not_made_again(
    scripted: Site, tmp_path: Path
) -> None:
    with relayed(scripted) as (site, relay):
        assert site.cloud is not None
        relay.holds = site.cloud.makes_a_job
        program = site.begin(*TRAIN, "71")
        assert relay.is_holding.wait(240)  # the server has made the job, and the program does not know
        program.kill()
        program.communicate(timeout=60)
    (intended,) = site.journal.jobs()
    assert (intended.state, intended.resource) == ("INTENDED", "")
    assert [job.id for job in unanswered_jobs(site.journal)] == [intended.id]
    copy = Journal(tmp_path / "jobs.jsonl")
    shutil.copy(site.journal.path, copy.path)

    attached = attach_all(site.connection, copy, manifest_hash=site.manifest.hash)
    (whole,) = [one for one in attached if one.job.id == intended.id]
    assert whole.fresh
    assert whole.job.manifest_hash == site.manifest.hash
    assert not whole.job.attached

    plan = latest_attempt(site.connection, site.journal, site.plan(site.options(71)), again=False)
    assert (plan.job_id, plan.attempt) == (intended.id, 1)
    launched = site.launch(71)
    assert not launched.fresh
    assert launched.job.resource == whole.job.resource
    assert len(site.served(intended.id)) == 1
    assert site.ended(launched.job).state == "SUCCEEDED"


@pytest.mark.slow
def test_a_wait_that_was_killed_is_taken_up_again(scripted: Site) -> None:
    with relayed(scripted) as (site, relay):
        assert site.cloud is not None
        job = site.launch(SLOW).job
        relay.holds = site.cloud.asks_for_a_job
        program = site.begin("cloud", "wait", job.id)
        assert relay.is_holding.wait(240)  # it has asked, and is not told that the job has ended if it was that slow
        program.kill()
        program.communicate(timeout=60)
        assert program.returncode == -9
        assert not site.journal.find(job.id).finished
        relay.holds = lambda method, path, headers: False
        gone_on = site.cxr("cloud", "wait", job.id, "--json")
    assert gone_on.code == 0, gone_on.err
    assert gone_on.data["jobs"][0]["state"] == "SUCCEEDED"
    assert site.journal.find(job.id).succeeded
