"""What an instance is doing, seen from EC2's states and from what it left in the bucket."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ec2_site import MANIFEST, PROFILE, SPOT, Site, ec2_options, new_site

from cxr.cloud.aws.ec2 import engine
from cxr.cloud.aws.ec2.machines import Machine, describe, note_launch
from cxr.cloud.aws.ec2.states import TAKEN_BACK, seen_of
from cxr.cloud.aws.trainings import plan_custom
from cxr.cloud.jobs.seen import WALL_HOURS
from cxr.cloud.plans.launch import LaunchPlan
from cxr.errors import InputError, NotFound


@pytest.fixture
def launched(account_site: Site) -> tuple[Site, LaunchPlan, str]:
    plan = account_site.plan()
    return account_site, plan, account_site.submit(plan).resource


def instance_of(resource: str) -> str:
    return resource.rsplit("/", 1)[-1]


def test_a_machine_at_work_is_a_running_job(launched: tuple[Site, LaunchPlan, str]) -> None:
    site, plan, resource = launched
    seen = engine.look(site.connection, resource)
    assert (seen.state, seen.error, seen.ended) == ("RUNNING", "", "")
    assert seen.display_name == plan.job_id
    assert plan.labels.items() <= seen.labels.items()
    assert seen.output_url == f"{site.connection.base_url}/jobs/{plan.job_id}"
    assert seen.details == {
        "engine": "ec2", "machine": "g4dn.xlarge", "spot": True, "replicas": 1, "timeout_hours": 2.0,
    }  # fmt: skip
    assert datetime.fromisoformat(seen.started).tzinfo is not None


@pytest.mark.parametrize("ended", [False, True], ids=["still-shutting-down", "terminated"])
def test_success_is_what_the_machine_wrote(launched: tuple[Site, LaunchPlan, str], ended: bool) -> None:
    site, plan, resource = launched
    site.end(plan, 0)
    if ended:
        site.ec2.terminate_instances(InstanceIds=[instance_of(resource)])
    seen = engine.look(site.connection, resource)
    assert (seen.state, seen.error, seen.ended) == ("SUCCEEDED", "", "2026-11-22T10:30:00+00:00")


def test_failure_has_the_machine_s_own_reason(launched: tuple[Site, LaunchPlan, str]) -> None:
    site, plan, resource = launched
    site.end(plan, 2, "InputError: no such recipe")
    site.ec2.terminate_instances(InstanceIds=[instance_of(resource)])
    seen = engine.look(site.connection, resource)
    assert (seen.state, seen.error) == ("FAILED", "InputError: no such recipe")


@pytest.mark.parametrize("action", ["terminate_instances", "stop_instances"])
def test_a_machine_that_wrote_nothing_has_failed(launched: tuple[Site, LaunchPlan, str], action: str) -> None:
    site, _, resource = launched
    getattr(site.ec2, action)(InstanceIds=[instance_of(resource)])
    seen = engine.look(site.connection, resource)
    assert seen.state == "FAILED"
    assert seen.error.startswith("the machine ended before it had finished: Client.UserInitiatedShutdown")
    assert seen.error_code == "Client.UserInitiatedShutdown"
    assert seen.ended


@pytest.mark.parametrize("code", TAKEN_BACK)
def test_a_spot_machine_that_was_taken_back_without_a_word_says_so(account_site: Site, code: str) -> None:
    # moto takes nothing back: the description is EC2's, the reasons are those of API_StateReason.
    machine = Machine("arn:aws:ec2:us-east-1:1:instance/i-1", "terminated", spot=True, reason=f"{code}: no capacity")
    seen = seen_of(account_site.connection, machine)
    assert (seen.state, seen.error_code) == ("FAILED", code)
    assert "taken back" in seen.error


def test_a_machine_that_outlives_its_hard_stop_is_no_running_job(launched: tuple[Site, LaunchPlan, str]) -> None:
    site, plan, resource = launched
    soon, late = (datetime.now(UTC) + timedelta(minutes=minutes) for minutes in (140, 150))
    assert engine.look(site.connection, resource, now=soon).state == "RUNNING"
    seen = engine.look(site.connection, resource, now=late)
    assert seen.state == "FAILED"
    assert f"cxr cloud clean {plan.job_id}" in seen.error


def test_a_cancelled_machine_is_terminated_and_says_cancelled(launched: tuple[Site, LaunchPlan, str]) -> None:
    site, plan, resource = launched
    engine.cancel(site.connection, resource)
    assert describe(site.connection, resource).state == "terminated"
    assert engine.look(site.connection, resource).state == "CANCELLED"
    # What user data writes when the machine is told to end changes nothing.
    site.end(plan, 143, "the machine was told to end")
    assert engine.look(site.connection, resource).state == "CANCELLED"
    with pytest.raises(InputError, match="has ended already"):
        engine.cancel(site.connection, resource)


def test_a_cancellation_that_did_not_reach_the_machine_is_not_over(launched: tuple[Site, LaunchPlan, str]) -> None:
    # Tagged, and then the connection was lost, or the account may tag and not terminate: it runs, and costs.
    site, _, resource = launched
    site.ec2.create_tags(Resources=[instance_of(resource)], Tags=[{"Key": "cxr-cancelled", "Value": "now"}])
    seen = engine.look(site.connection, resource)
    assert (seen.state, seen.ended) == ("CANCELLING", "")
    late = engine.look(site.connection, resource, now=datetime.now(UTC) + timedelta(minutes=150))
    assert late.state == "FAILED"
    assert "still costs" in late.error
    engine.cancel(site.connection, resource)
    assert engine.look(site.connection, resource).state == "CANCELLED"


def forgotten(site: Site, plan: LaunchPlan, instance: str) -> str:
    """The record of a machine that EC2 has forgotten (moto remembers all)."""
    resource = f"arn:aws:ec2:us-east-1:123456789012:instance/{instance}"
    tags = {**plan.labels, "cxr-output": f"{site.connection.base_url}/jobs/{plan.job_id}", "cxr-timeout-hours": "2"}
    machine = Machine(resource, "pending", "g4dn.xlarge", True, "2026-11-22T08:55:00+00:00", tags=tags)
    note_launch(site.connection, machine)
    return resource


def test_a_machine_that_ec2_has_forgotten_is_told_by_the_bucket(account_site: Site) -> None:
    plan = account_site.plan()
    resource = forgotten(account_site, plan, "i-0123456789abcdef0")
    assert engine.look(account_site.connection, resource).state == "FAILED"
    account_site.put(f"{account_site.folder(plan)}/cancelled.json", {})
    assert engine.look(account_site.connection, resource).state == "CANCELLED"
    account_site.end(plan, 0)
    seen = engine.look(account_site.connection, resource)
    assert (seen.state, seen.started) == ("SUCCEEDED", "2026-11-22T08:55:00+00:00")
    assert seen.labels["cxr-run"] == plan.job_id
    assert (seen.details["machine"], seen.details["timeout_hours"]) == ("g4dn.xlarge", 2.0)


def test_a_job_that_ec2_has_forgotten_is_found_and_not_launched_again(account_site: Site) -> None:
    # From another folder, or with a lost journal, an hour after its end: the same plan must not be paid for twice.
    plan = account_site.plan()
    resource = forgotten(account_site, plan, "i-0123456789abcdef2")
    account_site.end(plan, 0)
    found = engine.find_launched(plan)
    assert found is not None
    assert (found.resource, found.state) == (resource, "SUCCEEDED")
    again = account_site.submit(plan)
    assert (again.resource, again.found) == (resource, True)
    assert not [one for one in account_site.instances() if one["State"]["Name"] == "running"]
    nowhere = replace(plan, connection=replace(plan.connection, bucket="no-such-bucket-of-ours"))
    assert engine.find_launched(nowhere) is None


def test_a_machine_that_nobody_knows_is_not_found(account_site: Site) -> None:
    with pytest.raises(NotFound, match="i-0000"):
        engine.look(account_site.connection, "arn:aws:ec2:us-east-1:123456789012:instance/i-0000")
    with pytest.raises(ValueError, match="is not the ARN of an EC2 instance"):
        engine.look(account_site.connection, "arn:aws:ec2:us-east-1:123456789012:volume/vol-1")


def test_a_plan_s_job_is_found_and_the_one_at_work_comes_first(launched: tuple[Site, LaunchPlan, str]) -> None:
    site, plan, resource = launched
    found = engine.find_launched(plan)
    assert found is not None
    assert found.resource == resource
    site.ec2.terminate_instances(InstanceIds=[instance_of(resource)])
    second = site.ec2.run_instances(ImageId="ami-760aaa0f", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    site.ec2.create_tags(Resources=[second], Tags=[{"Key": "cxr-run", "Value": plan.job_id}])
    found = engine.find_launched(plan)
    assert found is not None
    assert instance_of(found.resource) == second
    assert engine.find_launched(replace(plan, attempt=9)) is None


def test_listings_have_jobs_only_and_the_unfinished_ones(account: str) -> None:
    site = new_site(account)
    running, failed = site.plan(), site.plan(attempt=2)
    site.submit(running)
    site.submit(failed)
    site.end(failed, 1, "no")
    site.ec2.run_instances(ImageId="ami-760aaa0f", MinCount=1, MaxCount=1)
    here = f"{site.connection.base_url}/"
    states = {
        one.display_name: one.state for one in engine.labelled(site.connection) if one.output_url.startswith(here)
    }
    assert states == {running.job_id: "RUNNING", failed.job_id: "FAILED"}
    unfinished = [one.display_name for one in engine.unfinished(site.connection) if one.output_url.startswith(here)]
    assert unfinished == [running.job_id]


def test_the_log_is_read_from_the_bucket(launched: tuple[Site, LaunchPlan, str]) -> None:
    site, plan, resource = launched
    job = site.job(plan, resource)
    assert list(engine.log_lines(site.connection, job)) == []
    log = "2026-11-22T09:00:01+00:00 begins\n2026-11-22T09:00:02+00:00 epoch 1/2 ü\nnot stamped\n"
    site.put(f"{site.folder(plan)}/logs/trainer.log", log.encode() + b"2026-11-22T09:00:03+00:00 half \xff")
    lines = list(engine.log_lines(site.connection, job))
    assert [line.text for line in lines] == ["begins", "epoch 1/2 ü", "not stamped", "half �"]
    assert lines[2].at == "2026-11-22T09:00:02+00:00"
    assert len({line.entry for line in lines}) == 4
    later = engine.log_lines(site.connection, job, since="2026-11-22T09:00:02Z")
    assert next(later).text == "epoch 1/2 ü"
    assert [line.text for line in engine.last_lines(site.connection, job, 2)] == ["not stamped", "half �"]
    # A job that was attached by its ARN alone.
    assert len(list(engine.log_lines(site.connection, replace(job, output_url="")))) == 4


def test_the_model_and_the_hours_that_are_charged_for(account_site: Site) -> None:
    plan = account_site.plan()
    resource = forgotten(account_site, plan, "i-0123456789abcdef1")
    account_site.end(plan, 0)
    job = account_site.job(plan, resource)
    assert engine.model_output(account_site.connection, job).url == f"{job.output_url}/model"
    spent = engine.run_time(account_site.connection, job)
    assert spent.hours == pytest.approx(95 / 60), "from launch to end"
    assert spent.unit == WALL_HOURS
    gone = replace(job, resource="arn:aws:ec2:us-east-1:123456789012:instance/i-0000")
    assert engine.run_time(account_site.connection, gone).hours is None
    known = replace(gone, started="2026-11-22T08:00:00+00:00", ended="2026-11-22T08:30:00+00:00")
    assert engine.run_time(account_site.connection, known).hours == 0.5


def test_another_timeout_is_another_job(account_site: Site) -> None:
    plans = [plan_custom(account_site.connection, MANIFEST, ec2_options(SPOT, hours)) for hours in (1, 2)]
    assert plans[0].job_id != plans[1].job_id
    assert PROFILE in dict(plans[0].rows()).values()
