"""Custom jobs of several worker pools: every replica is a process that knows its cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from emulator_server import Server, is_alive, wait_until
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as v1
from sdk import PARENT, client, custom_job, pool, wait_until_ended

SHOW = 'echo "$CLUSTER_SPEC"; echo "$TF_CONFIG"'


@pytest.fixture(scope="module")
def jobs(server: Server) -> Any:
    return client(v1.JobServiceClient, server.url)


def lines_by_task(server: Server, name: str) -> dict[str, list[str]]:
    """What each replica printed, as the unmodified logging SDK reads it."""
    from google.cloud import logging as cloud_logging

    options = {"api_endpoint": server.url}
    credentials = AnonymousCredentials()
    reader = cloud_logging.Client(project="p", credentials=credentials, client_options=options, _use_grpc=False)
    found: dict[str, list[str]] = {}
    for entry in reader.list_entries(filter_=f'resource.labels.job_id="{name.rpartition("/")[2]}"'):
        assert entry.log_name == f"projects/p/logs/{entry.resource.labels['task_name']}"
        found.setdefault(entry.resource.labels["task_name"], []).append(entry.payload["message"])
    return found


def run(jobs: Any, *pools: v1.WorkerPoolSpec, **spec: Any) -> Any:
    name = jobs.create_custom_job(parent=PARENT, custom_job=custom_job(*pools, **spec)).name
    return wait_until_ended(lambda: jobs.get_custom_job(name=name))


def waiting_for(count: int, seen: Path) -> tuple[str, str]:
    """Scripts of a chief that waits until so many others have told about their cluster, and of the others."""
    return f"{SHOW}; until [ $(wc -l < {seen}) = {count} ]; do sleep 0.02; done", f"{SHOW}; echo x >> {seen}"


def test_every_replica_knows_its_cluster_and_its_place(server: Server, jobs: Any, tmp_path: Path) -> None:
    (tmp_path / "seen").touch()
    first, other = waiting_for(4, tmp_path / "seen")
    pools = [pool("sh", "-c", first), *(pool("sh", "-c", other, replicas=count) for count in (2, 1, 1))]
    done = run(jobs, *pools)
    assert done.state.name == "JOB_STATE_SUCCEEDED", done.error
    printed = lines_by_task(server, done.name)
    assert set(printed) == {"workerpool0-0", "workerpool1-0", "workerpool1-1", "workerpool2-0", "workerpool3-0"}
    specs = {task: [json.loads(line) for line in lines] for task, lines in printed.items()}
    cluster = specs["workerpool0-0"][0]["cluster"]
    addresses = [address for hosts in cluster.values() for address in hosts]
    assert {key: len(hosts) for key, hosts in cluster.items()} == {
        "workerpool0": 1,
        "workerpool1": 2,
        "workerpool2": 1,
        "workerpool3": 1,
    }
    assert len(set(addresses)) == 5
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    for task, (spec, config) in specs.items():
        kind, _, index = task.partition("-")
        assert (spec["cluster"], spec["environment"]) == (cluster, "cloud")
        assert spec["task"] == {"type": kind, "index": int(index)}
        assert spec["job"]["workerPoolSpecs"][1]["replicaCount"] == "2"
        # Evaluators know the cluster and are no part of it.
        assert config["cluster"] == {
            "chief": cluster["workerpool0"],
            "worker": cluster["workerpool1"],
            "ps": cluster["workerpool2"],
        }
    roles = {task: (found[1]["task"]["type"], found[1]["task"]["index"]) for task, found in specs.items()}
    assert roles["workerpool0-0"] == ("chief", 0)
    assert roles["workerpool1-1"] == ("worker", 1)
    assert roles["workerpool2-0"] == ("ps", 0)
    assert roles["workerpool3-0"] == ("evaluator", 0)


def test_a_single_replica_has_no_tf_config(server: Server, jobs: Any) -> None:
    done = run(jobs, pool("sh", "-c", 'echo "$CLUSTER_SPEC" "${TF_CONFIG-unset}"'))
    (line,) = lines_by_task(server, done.name)["workerpool0-0"]
    assert line.endswith(" unset")
    assert list(json.loads(line.removesuffix(" unset"))["cluster"]) == ["workerpool0"]


def test_a_pool_may_be_skipped(server: Server, jobs: Any, tmp_path: Path) -> None:
    (tmp_path / "seen").touch()
    first, other = waiting_for(1, tmp_path / "seen")
    done = run(jobs, pool("sh", "-c", first), v1.WorkerPoolSpec(), pool("sh", "-c", other))
    spec, config = (json.loads(line) for line in lines_by_task(server, done.name)["workerpool2-0"])
    assert list(spec["cluster"]) == ["workerpool0", "workerpool2"]
    assert list(config["cluster"]) == ["chief", "ps"]


def test_the_end_of_the_primary_replica_ends_the_others(server: Server, jobs: Any, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    worker = pool("sh", "-c", f"echo $$ >> {pids}; exec sleep 600", replicas=2)
    chief = pool("sh", "-c", f"while [ ! -e {pids} ] || [ $(wc -l < {pids}) -lt 2 ]; do sleep 0.01; done")
    assert run(jobs, chief, worker).state.name == "JOB_STATE_SUCCEEDED"
    assert not [pid for pid in map(int, pids.read_text().split()) if is_alive(pid)]


def test_a_worker_that_fails_fails_the_job_by_its_name(server: Server, jobs: Any, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    chief = pool("sh", "-c", f"echo $$ > {alive}; exec sleep 600")
    worker = pool("sh", "-c", f"while [ ! -s {alive} ]; do sleep 0.01; done; echo no gradient >&2; exit 9")
    failed = run(jobs, chief, worker)
    assert failed.state.name == "JOB_STATE_FAILED"
    assert "The replica workerpool1-0 exited with a non-zero status of 9" in failed.error.message
    assert "no gradient" in failed.error.message
    assert not is_alive(int(alive.read_text()))


def test_cancelling_ends_every_replica(server: Server, jobs: Any, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    loop = pool("sh", "-c", f"echo $$ >> {pids}; exec sleep 600")
    name = jobs.create_custom_job(parent=PARENT, custom_job=custom_job(loop, loop)).name
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    jobs.cancel_custom_job(name=name)
    assert wait_until_ended(lambda: jobs.get_custom_job(name=name)).state.name == "JOB_STATE_CANCELLED"
    assert not [pid for pid in map(int, pids.read_text().split()) if is_alive(pid)]


NO_COMMAND = {"machineSpec": {"machineType": "n1-standard-4"}, "containerSpec": {"imageUri": "i", "command": ["true"]}}
ONE = {**NO_COMMAND, "replicaCount": "1"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"workerPoolSpecs": [{**ONE, "replicaCount": "2"}]}, "first worker pool needs a replica_count of 1"),
        ({"workerPoolSpecs": [ONE] * 5}, "at most 4"),
        ({"workerPoolSpecs": [ONE, NO_COMMAND]}, "at least 1"),
        ({"workerPoolSpecs": [ONE, {**ONE, "machineSpec": {"machineType": "huge"}}]}, "huge"),
        ({"workerPoolSpecs": [ONE, {**ONE, "containerSpec": {}}]}, "container_spec"),
        ({"workerPoolSpecs": [{**ONE, "diskSpec": {"bootDiskSizeGb": 99}}]}, "100 to 64000"),
        (
            {
                "workerPoolSpecs": [
                    {**ONE, "containerSpec": {"imageUri": "i", "env": [{"name": str(n)} for n in range(101)]}}
                ]
            },
            "At most 100 environment variables",
        ),
        (
            {"workerPoolSpecs": [{**ONE, "containerSpec": {"imageUri": "i", "env": [{"name": "A"}, {"name": "A"}]}}]},
            "set twice",
        ),
        ({"workerPoolSpecs": [ONE], "scheduling": {"timeout": "-1s"}}, "timeout"),
        ({"workerPoolSpecs": [ONE], "scheduling": {"strategy": "CHEAP"}}, "CHEAP"),
        ({"workerPoolSpecs": [ONE], "scheduling": {"colour": "red"}}, "colour"),
        ({"workerPoolSpecs": [ONE], "baseOutputDirectory": {"outputUriPrefix": "s3://b"}}, "s3://b"),
    ],
)
def test_a_bad_specification_is_refused(server: Server, spec: dict[str, Any], words: str) -> None:
    answer = server.call("POST", f"{PARENT}/customJobs", {"displayName": "c", "jobSpec": spec})
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), answer.text
    assert words in answer.json()["error"]["message"]


def test_a_bucket_of_another_region_or_none_is_refused(server: Server, jobs: Any) -> None:
    server.bucket("here")
    output = {"output_uri_prefix": "gs://here/run"}
    elsewhere = PARENT.replace("us-central1", "europe-west4")
    with pytest.raises(
        exceptions.BadRequest, match="same regional location as the service location `europe-west4`"
    ) as no:
        jobs.create_custom_job(parent=elsewhere, custom_job=custom_job(pool("true"), base_output_directory=output))
    assert no.value.response.json()["error"]["status"] == "FAILED_PRECONDITION"
    with pytest.raises(exceptions.NotFound, match="no-such-bucket"):
        output = {"output_uri_prefix": "gs://no-such-bucket/run"}
        jobs.create_custom_job(parent=PARENT, custom_job=custom_job(pool("true"), base_output_directory=output))
