"""Hyperparameter tuning jobs: create, get, list, cancel, delete; and the trials that they are made of.

A trial is a custom job with its parameters as further arguments. What it measured it writes to the file that
CLOUD_ML_HP_METRIC_FILE names, as cloudml-hypertune does.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cxr.cloud.emulator.errors import Code, RpcError, unimplemented
from cxr.cloud.emulator.jobs.children import add_child, owner_of
from cxr.cloud.emulator.jobs.supervisor import add_job, end_managed
from cxr.cloud.emulator.vertex_api import job_states
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext, check_display_name, check_labels, require
from cxr.cloud.emulator.vertex_api.custom_jobs import insert_custom_job
from cxr.cloud.emulator.vertex_api.job_states import has_ended, set_ended
from cxr.cloud.emulator.vertex_api.measurements import final_measurement, measurements_in
from cxr.cloud.emulator.vertex_api.messages import JsonObject, now, parse, types
from cxr.cloud.emulator.vertex_api.resource_store import change, find, insert, list_page, listed, new_id
from cxr.cloud.emulator.vertex_api.study import check_counts, study_of
from cxr.cloud.emulator.vertex_api.suggestions import as_argument, suggestion
from cxr.cloud.emulator.vertex_api.worker_pools import check_job_spec, with_arguments

KIND = "tuning"
TRIAL_ENDED = ("SUCCEEDED", "INFEASIBLE")
_OUTPUT_ONLY = ("name", "state", "error", "createTime", "startTime", "endTime", "updateTime", "trials")


def create_tuning_job(context: VertexContext, call: Call) -> JsonObject:
    """hyperparameterTuningJobs.create. Raises 400 for a bad study, numbers of trials or job specification."""
    job = parse(types.HyperparameterTuningJob, call.body)
    check_display_name(job)
    check_labels(job.get("labels", {}))
    if job.get("encryptionSpec"):
        raise unimplemented("hyperparameterTuningJobs.create with encryptionSpec")
    study_of(require(job, "studySpec", "study_spec"))
    check_counts(job)
    check_job_spec(context.storage, require(job, "trialJobSpec", "trial_job_spec"), call.location, "trial_job_spec")
    moment = now()
    with context.write() as connection:
        job_id = new_id(connection)
        job = {
            **{key: value for key, value in job.items() if key not in _OUTPUT_ONLY},
            "name": f"{call.name}/{job_id}",
            "state": "JOB_STATE_PENDING",
            "createTime": moment,
            "updateTime": moment,
        }
        insert(connection, job["name"], call.name, job)
        add_job(connection, job["name"], KIND, job_id)
    context.wake_jobs()
    return job


def get_tuning_job(context: VertexContext, call: Call) -> JsonObject:
    """hyperparameterTuningJobs.get."""
    return find(context.read, call.name)


def list_tuning_jobs(context: VertexContext, call: Call) -> JsonObject:
    """hyperparameterTuningJobs.list."""
    return listed("hyperparameterTuningJobs", list_page(context.read, call.name, call.query))


def cancel_tuning_job(context: VertexContext, call: Call) -> JsonObject:
    """hyperparameterTuningJobs.cancel: answers at once; the trials under way are cancelled, then the job is."""
    return job_states.cancel(context, call, "tuning job")


def delete_tuning_job(context: VertexContext, call: Call) -> JsonObject:
    """hyperparameterTuningJobs.delete: an operation; a job that has not ended must be cancelled first."""
    return job_states.delete(context, call, "tuning job")


class TuningJob:
    """The Coordinator of tuning jobs, and the owner of their trials' custom jobs."""

    def prepare(self, name: str) -> None:
        """Nothing."""

    def begin(self, connection: sqlite3.Connection, name: str) -> None:
        """The first trials: as many as run in parallel."""
        job = find(connection, name)
        trials: list[JsonObject] = []
        for _ in range(int(job["parallelTrialCount"])):
            trial = _new_trial(connection, job, len(trials) + 1)
            if trial is not None:
                trials.append(trial)
        change(connection, name, lambda job: job.update(trials=trials))

    def child_changed(
        self, connection: sqlite3.Connection, parent: str, child: JsonObject, attempt_folder: Path | None
    ) -> None:
        """The trial follows its custom job; when it has ended, the next begins or the job ends."""
        job = find(connection, parent)
        _, own = owner_of(connection, child["name"]) or ("", {"trial": ""})
        trial = next(trial for trial in job["trials"] if trial["id"] == own["trial"])
        _follow(job, trial, child, attempt_folder)
        if child["state"] == "JOB_STATE_RUNNING" and job["state"] == "JOB_STATE_PENDING":
            job["state"] = "JOB_STATE_RUNNING"
            job.setdefault("startTime", now())
        if trial["state"] in TRIAL_ENDED and job["state"] != "JOB_STATE_CANCELLING":
            self._go_on(connection, job, trial, child)
        change(connection, parent, lambda stored: stored.update(job))

    def failed(self, connection: sqlite3.Connection, name: str, error: RpcError) -> None:
        """FAILED with the error; trials under way count as infeasible."""
        change(connection, name, lambda job: _end(job, "FAILED", error))

    def cancelled(self, connection: sqlite3.Connection, name: str) -> None:
        """CANCELLED."""
        change(connection, name, lambda job: _end(job, "CANCELLED", RpcError(Code.CANCELLED, "CANCELED")))

    def _go_on(self, connection: sqlite3.Connection, job: JsonObject, trial: JsonObject, child: JsonObject) -> None:
        error = _too_many_failures(job, trial, child)
        if error is not None:
            _end(job, "FAILED", error)
            end_managed(connection, job["name"])
            return
        if len(job["trials"]) < int(job["maxTrialCount"]):
            following = _new_trial(connection, job, len(job["trials"]) + 1)
            if following is not None:
                job["trials"].append(following)
        if all(item["state"] in TRIAL_ENDED for item in job["trials"]):
            _end(job, "SUCCEEDED", None)
            end_managed(connection, job["name"])


def _new_trial(connection: sqlite3.Connection, job: JsonObject, number: int) -> JsonObject | None:
    """The next trial with its custom job; None when there is no further point in a grid."""
    values = suggestion(study_of(job["studySpec"]), job["studySpec"], number)
    if values is None:
        return None
    trial_id = str(number)
    spec = with_arguments(job["trialJobSpec"], [as_argument(name, value) for name, value in values])
    prefix = spec.get("baseOutputDirectory", {}).get("outputUriPrefix", "").rstrip("/")
    if prefix:
        spec["baseOutputDirectory"] = {"outputUriPrefix": f"{prefix}/{trial_id}"}
    custom_job = insert_custom_job(
        connection,
        job["name"].rpartition("/hyperparameterTuningJobs/")[0],
        {"displayName": _trial_name(job, trial_id), "jobSpec": spec, "labels": job.get("labels", {})},
    )
    add_child(connection, job["name"], custom_job["name"], {"trial": trial_id})
    return {
        "id": trial_id,
        "state": "REQUESTED",
        "parameters": [{"parameterId": name, "value": value} for name, value in values],
        "customJob": custom_job["name"],
    }


def _trial_name(job: JsonObject, trial_id: str) -> str:
    ending = f"-trial-{trial_id}"
    return f"{job['displayName'][: 128 - len(ending)]}{ending}"


def _follow(job: JsonObject, trial: JsonObject, child: JsonObject, attempt_folder: Path | None) -> None:
    state = child["state"]
    if "startTime" in child:
        trial["startTime"] = child["startTime"]
    if state == "JOB_STATE_RUNNING":
        trial["state"] = "ACTIVE"
    if not has_ended(state):
        return
    trial["endTime"] = child["endTime"]
    if state != "JOB_STATE_SUCCEEDED" or attempt_folder is None:
        trial["state"] = "INFEASIBLE"
        trial["infeasibleReason"] = child.get("error", {}).get("message", "The trial was cancelled.")
        return
    study = study_of(job["studySpec"])
    measured = measurements_in(attempt_folder, study.metric, trial["startTime"], trial["endTime"])
    final = final_measurement(measured, study)
    if final is None:
        trial["state"] = "INFEASIBLE"
        trial["infeasibleReason"] = f"The trial reported no measurement of {study.metric!r}."
        return
    ended = {**trial, "state": "SUCCEEDED", "finalMeasurement": final, "measurements": measured}
    trial.update(parse(types.Trial, ended))  # what is stored must be readable


def _too_many_failures(job: JsonObject, trial: JsonObject, child: JsonObject) -> RpcError | None:
    if trial["state"] != "INFEASIBLE":
        return None
    failed = sum(item["state"] == "INFEASIBLE" for item in job["trials"])
    most = int(job.get("maxFailedTrialCount", 0))
    reason = trial["infeasibleReason"]
    code = next((code for code in Code if code.number == child.get("error", {}).get("code")), Code.INVALID_ARGUMENT)
    if most and failed >= most:
        return RpcError(code, f"{failed} trials have failed, which is the most that are allowed. The last: {reason}")
    if not most and all(item["state"] != "SUCCEEDED" for item in job["trials"]):
        return RpcError(
            code,
            f"Hyperparameter Tuning Trial #{trial['id']} Failed before any other successful trials were completed. "
            f"The trial's error message was: {reason}",
        )
    return None


def _end(job: JsonObject, word: str, error: RpcError | None) -> None:
    set_ended(job, word, error)
    for trial in job.get("trials", []):
        if trial["state"] not in TRIAL_ENDED:
            trial.update(state="INFEASIBLE", endTime=job["endTime"], infeasibleReason="The tuning job ended before.")
