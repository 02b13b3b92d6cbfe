"""Custom jobs: create, get, list, cancel, delete; and what runs when one does."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxr.cloud.emulator.errors import Code, RpcError, failed_precondition, invalid_argument, unimplemented
from cxr.cloud.emulator.jobs.attempts import Launch, Outcome
from cxr.cloud.emulator.jobs.container import ContainerJob, container_launch
from cxr.cloud.emulator.jobs.supervisor import add_job, request_cancel
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext, check_display_name, check_labels, require
from cxr.cloud.emulator.vertex_api.machines import check_machine
from cxr.cloud.emulator.vertex_api.messages import JsonObject, now, parse, types
from cxr.cloud.emulator.vertex_api.operations import delete_at_once
from cxr.cloud.emulator.vertex_api.resource_store import change, find, insert, list_page, listed, new_id, remove

KIND = "custom"
ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED")
DEFAULT_TIMEOUT_SECONDS = 7 * 24 * 3600.0
_OUTPUT_ONLY = ("name", "state", "error", "createTime", "startTime", "endTime", "updateTime", "webAccessUris")


def create_custom_job(context: VertexContext, call: Call) -> JsonObject:
    """customJobs.create. Raises 400 for a bad specification, 501 for several replicas or a Python package spec."""
    job = parse(types.CustomJob, call.body)
    check_display_name(job)
    check_labels(job.get("labels", {}))
    _check_spec(require(job, "jobSpec", "job_spec"))
    moment = now()
    with context.write() as connection:
        job_id = new_id(connection)
        name = f"{call.name}/{job_id}"
        job = {
            **{key: value for key, value in job.items() if key not in _OUTPUT_ONLY},
            "name": name,
            "state": "JOB_STATE_PENDING",
            "createTime": moment,
            "updateTime": moment,
        }
        insert(connection, name, call.name, job)
        add_job(connection, name, KIND, job_id)
    context.wake_jobs()
    return job


def get_custom_job(context: VertexContext, call: Call) -> JsonObject:
    """customJobs.get."""
    return find(context.read, call.name)


def list_custom_jobs(context: VertexContext, call: Call) -> JsonObject:
    """customJobs.list."""
    return listed("customJobs", list_page(context.read, call.name, call.query))


def cancel_custom_job(context: VertexContext, call: Call) -> JsonObject:
    """customJobs.cancel: answers at once; the state goes by CANCELLING to CANCELLED."""
    with context.write() as connection:
        state = find(connection, call.name)["state"]
        if state in ENDED:
            raise failed_precondition(f"The custom job {call.name} is in state {state} and cannot be cancelled.")
        change(connection, call.name, lambda job: job.update(state="JOB_STATE_CANCELLING"))
        request_cancel(connection, call.name)
    context.wake_jobs()
    return {}


def delete_custom_job(context: VertexContext, call: Call) -> JsonObject:
    """customJobs.delete: an operation; a job that has not ended must be cancelled first."""
    state = find(context.read, call.name)["state"]
    if state not in ENDED:
        raise failed_precondition(f"The custom job {call.name} is in state {state}; cancel it first.")
    return delete_at_once(context, call.name, lambda connection: remove(connection, call.name))


class CustomJob:
    """The JobKind of custom jobs."""

    def __init__(self, context: VertexContext, server_url: str) -> None:
        self._context = context
        self._server_url = server_url

    def prepare(self, name: str, job_folder: Path, attempt_folder: Path) -> Launch:
        """The first worker pool's container."""
        spec = find(self._context.read, name)["jobSpec"]
        container = spec["workerPoolSpecs"][0]["containerSpec"]
        job = ContainerJob(
            job_id=name.rpartition("/")[2],
            project=name.split("/")[1],
            command=[*container.get("command", []), *container.get("args", [])],
            environment={
                **{item["name"]: item.get("value", "") for item in container.get("env", [])},
                **self._context.settings.job_environment,
            },
            output_prefix=spec.get("baseOutputDirectory", {}).get("outputUriPrefix"),
            timeout_seconds=_timeout_seconds(spec),
            server_url=self._server_url,
        )
        return container_launch(self._context.storage, job, attempt_folder)

    def started(self, connection: sqlite3.Connection, name: str) -> None:
        """RUNNING; the start time is that of the first attempt."""

        def edit(job: JsonObject) -> None:
            job["state"] = "JOB_STATE_RUNNING"
            job.setdefault("startTime", now())

        change(connection, name, edit)

    def waiting(self, connection: sqlite3.Connection, name: str) -> None:
        """PENDING again."""
        change(connection, name, lambda job: job.update(state="JOB_STATE_PENDING"))

    def judge(self, name: str, attempt_folder: Path, outcome: Outcome) -> RpcError | None:
        """The exit code, in the service's words."""
        if outcome.timed_out:
            return RpcError(Code.DEADLINE_EXCEEDED, "The job ran longer than its timeout.")
        if outcome.returncode == 0:
            return None
        status = outcome.returncode if outcome.returncode > 0 else 128 - outcome.returncode
        return RpcError(
            Code.INVALID_ARGUMENT,
            f"The replica workerpool0-0 exited with a non-zero status of {status}. "
            f"To find out more about why your job exited please check the logs: {outcome.last_stderr}",
        )

    def succeeded(self, connection: sqlite3.Connection, name: str, attempt_folder: Path) -> None:
        """SUCCEEDED."""
        change(connection, name, lambda job: _end(job, "JOB_STATE_SUCCEEDED", None))

    def failed(self, connection: sqlite3.Connection, name: str, error: RpcError) -> None:
        """FAILED with the error."""
        change(connection, name, lambda job: _end(job, "JOB_STATE_FAILED", error))

    def cancelled(self, connection: sqlite3.Connection, name: str) -> None:
        """CANCELLED."""
        error = RpcError(Code.CANCELLED, "CANCELED")
        change(connection, name, lambda job: _end(job, "JOB_STATE_CANCELLED", error))


def _check_spec(spec: Mapping[str, Any]) -> None:
    pools = require(spec, "workerPoolSpecs", "job_spec.worker_pool_specs")
    used = [pool for pool in pools if pool]
    if len(used) > 1 or int(pools[0].get("replicaCount", 1)) > 1:
        raise unimplemented("customJobs with more than one replica")
    if int(pools[0].get("replicaCount", 0)) != 1:
        raise invalid_argument("The first worker pool needs a replica_count of 1.", field="worker_pool_specs[0]")
    if "pythonPackageSpec" in pools[0]:
        raise unimplemented("customJobs with pythonPackageSpec (use containerSpec)")
    check_machine(require(pools[0], "machineSpec", "worker_pool_specs[0].machine_spec"))
    container = require(pools[0], "containerSpec", "worker_pool_specs[0].container_spec")
    require(container, "imageUri", "container_spec.image_uri")
    prefix = spec.get("baseOutputDirectory", {}).get("outputUriPrefix", "")
    if prefix and not prefix.startswith("gs://"):
        raise invalid_argument(f"{prefix!r} is not a gs:// path.", field="base_output_directory.output_uri_prefix")


def _timeout_seconds(spec: Mapping[str, Any]) -> float:
    text = spec.get("scheduling", {}).get("timeout")
    return float(text.removesuffix("s")) if text else DEFAULT_TIMEOUT_SECONDS


def _end(job: JsonObject, state: str, error: RpcError | None) -> None:
    job["state"] = state
    job["endTime"] = now()
    if error is not None:
        job["error"] = error.status()
