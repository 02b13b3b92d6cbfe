"""Programs that are killed lose nothing: the next one finds the job, and launches none beside it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from provider_site import SLOW, Site, wait_until
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
        assert relay.is_holding.wait(60)  # the server has made the job, and the program does not know
        program.kill()
        program.communicate(timeout=20)
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
        job = site.launch(SLOW).job
        program = site.begin("cloud", "wait", job.id)
        name = job.resource.rpartition("/")[2].encode()
        wait_until(lambda: any(name in heard.answer or name in heard.body for heard in relay.heard))
        program.kill()
        program.communicate(timeout=20)
        assert program.returncode == -9
        assert not site.journal.find(job.id).finished
        gone_on = site.cxr("cloud", "wait", job.id, "--json")
    assert gone_on.code == 0, gone_on.err
    assert gone_on.data["jobs"][0]["state"] == "SUCCEEDED"
    assert site.journal.find(job.id).succeeded
