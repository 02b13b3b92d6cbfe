"""What jobs of all kinds have in common: they are cancelled and deleted alike, and pass through the same states.

A state is a word behind the prefix of its family: JOB_STATE_RUNNING, PIPELINE_STATE_RUNNING.
"""

from __future__ import annotations

import shutil

from cxr.cloud.emulator.errors import RpcError, failed_precondition
from cxr.cloud.emulator.jobs.supervisor import request_cancel
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext
from cxr.cloud.emulator.vertex_api.messages import JsonObject, now
from cxr.cloud.emulator.vertex_api.operations import delete_at_once
from cxr.cloud.emulator.vertex_api.resource_store import change, find, remove

_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")
_CANCELLING = "CANCELLING"


def cancel(context: VertexContext, call: Call, noun: str) -> JsonObject:
    """The cancel method of every kind: answers at once; the state goes by CANCELLING to CANCELLED. Raises 400 for a job
    that has ended, called `noun`."""
    with context.write() as connection:
        state = find(connection, call.name)["state"]
        if has_ended(state):
            raise failed_precondition(f"The {noun} {call.name} is in state {state} and cannot be cancelled.")
        change(connection, call.name, lambda job: _set(job, _CANCELLING))
        request_cancel(connection, call.name)
    context.wake_jobs()
    return {}


def delete(context: VertexContext, call: Call, noun: str, *, parent: str | None = None) -> JsonObject:
    """The delete method of every kind, with the job's files: an operation below `parent` (the job itself without).
    Raises 400 for a job that has not ended."""
    state = find(context.read, call.name)["state"]
    if not has_ended(state):
        raise failed_precondition(f"The {noun} {call.name} is in state {state}; cancel it first.")
    operation = delete_at_once(context, call.name, lambda connection: remove(connection, call.name), parent=parent)
    shutil.rmtree(context.settings.jobs_dir / call.name.rpartition("/")[2], ignore_errors=True)
    return operation


def has_ended(state: str) -> bool:
    """Whether nothing follows on a state."""
    return state.endswith(_ENDED)


def set_running(job: JsonObject) -> None:
    """RUNNING, unless it is being cancelled; the start time is that of the first attempt."""
    _go_on(job, "RUNNING")
    job.setdefault("startTime", now())


def set_pending(job: JsonObject) -> None:
    """PENDING again, unless it is being cancelled."""
    _go_on(job, "PENDING")


def set_ended(job: JsonObject, word: str, error: RpcError | None) -> None:
    """SUCCEEDED, FAILED or CANCELLED, at this moment."""
    _set(job, word)
    job["endTime"] = now()
    if error is not None:
        job["error"] = error.status()


def _go_on(job: JsonObject, word: str) -> None:
    if not job["state"].endswith(_CANCELLING):
        _set(job, word)


def _set(job: JsonObject, word: str) -> None:
    job["state"] = job["state"].partition("_STATE_")[0] + "_STATE_" + word
