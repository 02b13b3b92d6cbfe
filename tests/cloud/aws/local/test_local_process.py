"""The server of Amazon's APIs as a process: one for each folder, found, stopped, and its jobs with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from amazon_here import Amazon, wait_until

from cxr.cloud.aws.local import process
from cxr.errors import Fault


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT], ids=["TERM", "KILL", "INT"])
def test_jobs_end_with_the_server_however_it_ends(start: Callable[..., Amazon], number: signal.Signals) -> None:
    amazon = start()
    amazon.train("endless", "endless")
    pids = amazon.waiting_pids("endless")
    assert all(is_alive(pid) for pid in pids)
    status = process.server_status(amazon.url)
    assert status is not None
    os.kill(status["pid"], number)
    wait_until(lambda: [pid for pid in [status["pid"], *pids] if is_alive(pid)], lambda alive: not alive)
    assert process.running_url(amazon.state) is None


@pytest.mark.slow
def test_an_idle_server_leaves_but_not_while_a_job_runs(start: Callable[..., Amazon]) -> None:
    amazon = start(idle_exit_seconds=12.0)  # a stall of some seconds is no idleness
    status = process.server_status(amazon.url)
    assert status is not None
    amazon.train("short", "endless", StoppingCondition={"MaxRuntimeInSeconds": 16})
    tree = amazon.state / "jobs" / "short" / "algo-1" / "opt" / "ml"
    psutil.Process(status["pid"]).wait(300)
    # The job ran to its limit, and what it saved then is there: the server has waited for it.
    assert (tree / "model" / "saved.txt").exists()
    assert not (amazon.state / "server.json").exists()


def test_one_server_works_on_a_folder_and_says_what_it_is(start: Callable[..., Amazon]) -> None:
    amazon = start()
    assert process.ensure_running(amazon.state) == amazon.url == process.running_url(amazon.state)
    command = [sys.executable, "-m", "cxr.cloud.aws.local", "--state", str(amazon.state)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert second.returncode == 2
    assert "already works on" in second.stderr
    status = process.server_status(amazon.url)
    assert status is not None
    assert status["service"] == "cxr-aws-local"
    assert "forgotten" in status["note"]
    assert process.stop(amazon.state) is True
    assert process.stop(amazon.state) is False
    with pytest.raises(Fault, match="no answer"):
        process.change_outcomes(amazon.url)


def test_the_user_s_own_keys_do_not_reach_a_job(
    start: Callable[..., Amazon], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as shell:
        for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "SOME_TOKEN"):
            shell.setenv(name, "the-user-s-secret")
        shell.setenv("AWS_PROFILE", "no-such-profile")
        url = process.ensure_running(tmp_path / "amazon", idle_exit_seconds=600)
    amazon = start()
    assert amazon.url == url
    amazon.train("keys")
    assert amazon.wait("keys")["TrainingJobStatus"] == "Completed"
    environment = amazon.said("keys", "environment")
    assert "the-user-s-secret" not in environment.values()
    assert environment["AWS_ENDPOINT_URL"] == amazon.url
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN"} & set(environment)


def test_other_services_answer_as_moto_does(start: Callable[..., Amazon]) -> None:
    amazon = start()
    assert amazon.client("sts").get_caller_identity()["Account"] == "123456789012"
    offered = amazon.client("ec2").describe_instance_types(InstanceTypes=["g4dn.xlarge"])["InstanceTypes"]
    assert [one["InstanceType"] for one in offered] == ["g4dn.xlarge"]
    assert amazon.client("iam").list_roles()["Roles"] == []
    assert amazon.client("service-quotas").list_aws_default_service_quotas(ServiceCode="vpc")["Quotas"]


def test_nothing_of_moto_is_loaded_outside_the_server() -> None:
    script = (
        "import sys, cxr.cli, cxr.cloud.aws.local.process;"
        "print([name for name in ('moto', 'boto3', 'botocore', 'flask', 'werkzeug') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.strip() == "[]"
