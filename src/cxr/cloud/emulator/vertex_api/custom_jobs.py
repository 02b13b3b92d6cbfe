"""Custom jobs: create, get, list, cancel, delete; and what runs when one does."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cxr.cloud.emulator.errors import Code, RpcError, unimplemented
from cxr.cloud.emulator.jobs.attempts import Launch, Outcome
from cxr.cloud.emulator.jobs.children import owner_of
from cxr.cloud.emulator.jobs.container import ContainerJob, container_launch
from cxr.cloud.emulator.jobs.supervisor import add_job
from cxr.cloud.emulator.vertex_api import job_states
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext, check_display_name, check_labels, require
from cxr.cloud.emulator.vertex_api.job_states import set_ended, set_pending, set_running
from cxr.cloud.emulator.vertex_api.messages import JsonObject, now, parse, types
from cxr.cloud.emulator.vertex_api.resource_store import change, find, insert, list_page, listed, new_id
from cxr.cloud.emulator.vertex_api.worker_pools import check_job_spec, replicas_of, timeout_seconds

KIND = "custom"
_OUTPUT_ONLY = ("name", "state", "error", "createTime", "startTime", "endTime", "updateTime", "webAccessUris")


class Owner(Protocol):
    """What custom jobs belong to (a tuning, a training pipeline): it hears of what becomes of them."""

    def child_changed(
        self, connection: sqlite3.Connection, parent: str, child: JsonObject, attempt_folder: Path | None
    ) -> None:
        """A child has another state; `attempt_folder` is known when it has succeeded. In the child's transaction."""


def create_custom_job(context: VertexContext, call: Call) -> JsonObject:
    """customJobs.create. Raises 400 for a bad specification or a bucket in another region, 404 for no bucket."""
    job = parse(types.CustomJob, call.body)
    check_display_name(job)
    check_labels(job.get("labels", {}))
    if job.get("encryptionSpec"):
        raise unimplemented("customJobs.create with encryptionSpec")
    check_job_spec(context.storage, require(job, "jobSpec", "job_spec"), call.location)
    with context.write() as connection:
        job = insert_custom_job(connection, call.parent, job)
    context.wake_jobs()
    return job


def insert_custom_job(connection: sqlite3.Connection, parent: str, job: JsonObject) -> JsonObject:
    """Store a checked custom job below `projects/P/locations/L` and put it into the queue."""
    moment, job_id = now(), new_id(connection)
    collection = f"{parent}/customJobs"
    job = {
        **{key: value for key, value in job.items() if key not in _OUTPUT_ONLY},
        "name": f"{collection}/{job_id}",
        "state": "JOB_STATE_PENDING",
        "createTime": moment,
        "updateTime": moment,
    }
    insert(connection, job["name"], collection, job)
    add_job(connection, job["name"], KIND, job_id)
    return job


def get_custom_job(context: VertexContext, call: Call) -> JsonObject:
    """customJobs.get."""
    return find(context.read, call.name)


def list_custom_jobs(context: VertexContext, call: Call) -> JsonObject:
    """customJobs.list."""
    return listed("customJobs", list_page(context.read, call.name, call.query))


def cancel_custom_job(context: VertexContext, call: Call) -> JsonObject:
    """customJobs.cancel: answers at once; the state goes by CANCELLING to CANCELLED."""
    return job_states.cancel(context, call, "custom job")


def delete_custom_job(context: VertexContext, call: Call) -> JsonObject:
    """customJobs.delete: an operation; a job that has not ended must be cancelled first."""
    return job_states.delete(context, call, "custom job")


class CustomJob:
    """The JobKind of custom jobs. `owners`: by kind of job, who hears of the jobs that belong to it."""

    def __init__(self, context: VertexContext, server_url: str, owners: Mapping[str, Owner]) -> None:
        self._context = context
        self._server_url = server_url
        self._owners = owners

    def prepare(self, name: str, job_folder: Path, attempt_folder: Path) -> Launch:
        """All replicas of all worker pools."""
        spec = find(self._context.read, name)["jobSpec"]
        _, own = owner_of(self._context.read, name) or ("", {})
        job = ContainerJob(
            job_id=name.rpartition("/")[2],
            project=name.split("/")[1],
            replicas=replicas_of(spec),
            spec=spec,
            environment={**own.get("environment", {}), **self._context.settings.job_environment},
            output_prefix=spec.get("baseOutputDirectory", {}).get("outputUriPrefix"),
            timeout_seconds=timeout_seconds(spec),
            server_url=self._server_url,
            trial=own.get("trial"),
        )
        return container_launch(self._context.storage, job, attempt_folder)

    def started(self, connection: sqlite3.Connection, name: str) -> None:
        """RUNNING; the start time is that of the first attempt."""
        self._tell(connection, change(connection, name, set_running))

    def waiting(self, connection: sqlite3.Connection, name: str) -> None:
        """PENDING again, unless it is being cancelled."""
        self._tell(connection, change(connection, name, set_pending))

    def judge(self, name: str, attempt_folder: Path, outcome: Outcome) -> RpcError | None:
        """The exit code, in the service's words."""
        if outcome.timed_out:
            return RpcError(Code.DEADLINE_EXCEEDED, "The job ran longer than its timeout.")
        if outcome.returncode == 0:
            return None
        status = outcome.returncode if outcome.returncode > 0 else 128 - outcome.returncode
        return RpcError(
            Code.INVALID_ARGUMENT,
            f"The replica {outcome.task} exited with a non-zero status of {status}. "
            f"To find out more about why your job exited please check the logs: {outcome.last_stderr}",
        )

    def succeeded(self, connection: sqlite3.Connection, name: str, attempt_folder: Path) -> None:
        """SUCCEEDED."""
        job = change(connection, name, lambda job: set_ended(job, "SUCCEEDED", None))
        self._tell(connection, job, attempt_folder)

    def failed(self, connection: sqlite3.Connection, name: str, error: RpcError) -> None:
        """FAILED with the error."""
        self._tell(connection, change(connection, name, lambda job: set_ended(job, "FAILED", error)))

    def cancelled(self, connection: sqlite3.Connection, name: str) -> None:
        """CANCELLED."""
        error = RpcError(Code.CANCELLED, "CANCELED")
        self._tell(connection, change(connection, name, lambda job: set_ended(job, "CANCELLED", error)))

    def _tell(self, connection: sqlite3.Connection, job: JsonObject, attempt_folder: Path | None = None) -> None:
        owned = owner_of(connection, job["name"])
        if owned is None:
            return
        row = connection.execute("SELECT kind FROM jobs WHERE name=? AND phase<>'done'", (owned[0],)).fetchone()
        if row is not None:
            self._owners[row["kind"]].child_changed(connection, owned[0], job, attempt_folder)
