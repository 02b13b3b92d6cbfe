"""Hyperparameter tuning: the same trainer, many trials, over a search space that is data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.launching import Submitted
from cxr.cloud.jobs.seen import Trial, best_first
from cxr.cloud.plans.launch import LaunchPlan
from cxr.cloud.prices.table import PriceTable
from cxr.cloud.trainer import plans as trainer_plans
from cxr.cloud.trainer.job import METRIC, SpaceParameter, TuneOptions
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, job_client
from cxr.cloud.vertex.container import job_spec, send_inputs
from cxr.cloud.vertex.custom import RULES
from cxr.cloud.vertex.found import find_launched
from cxr.errors import UsageError
from cxr.manifests.manifest import Manifest
from cxr.storage.google.errors import google_errors


def plan_tune(
    connection: Connection,
    manifest: Manifest,
    options: TuneOptions,
    *,
    prices: PriceTable | None = None,
    epochs: int | None = None,
    attempt: int = 1,
) -> LaunchPlan:
    """As `trainer_plans.plan_tune`, by Vertex AI's rules."""
    return trainer_plans.plan_tune(connection, manifest, options, RULES, prices=prices, epochs=epochs, attempt=attempt)


def submit_tune(
    plan: LaunchPlan, manifest: Manifest, options: TuneOptions, *, on_step: Callable[[str], None]
) -> Submitted:
    """Send what the trials need, create the job, return its resource name at once. An earlier job of the same plan is
    found by its label and returned instead."""
    if earlier := find_launched(plan):
        return Submitted(earlier.resource, found=True)
    on_step("sending the trainer and the manifest")
    weights = send_inputs(plan, manifest, options.trial)
    body = {
        "display_name": plan.job_id,
        "labels": plan.labels,
        "max_trial_count": options.trials,
        "parallel_trial_count": options.parallel,
        "study_spec": study_spec(options.space),
        "trial_job_spec": job_spec(plan, options.trial, weights),
    }
    client, parent = job_client(plan.connection), plan.connection.parent
    with google_errors("create the tuning job"):
        job = client.create_hyperparameter_tuning_job(
            request={"parent": parent, "hyperparameter_tuning_job": body}, timeout=REQUEST_TIMEOUT_S
        )
    return Submitted(str(job.name))


def study_spec(space: Sequence[SpaceParameter]) -> dict[str, Any]:
    """The service's StudySpec of a search space; its algorithm is the service's default (Bayesian optimisation).

    The trainer reports the figure of the best epoch so far, so its last report is that of the bundle it leaves.
    """
    return {
        "metrics": [{"metric_id": METRIC, "goal": "MAXIMIZE"}],
        "parameters": [_parameter(parameter) for parameter in space],
        "measurement_selection_type": "LAST_MEASUREMENT",
    }


def read_trials(connection: Connection, job: Job) -> list[Trial]:
    """The trials of a tuning job, best first (those without a measurement last)."""
    with google_errors(f"read the trials of {job.id}"):
        found = job_client(connection).get_hyperparameter_tuning_job(name=job.resource, timeout=REQUEST_TIMEOUT_S)
    return best_first(_trial(trial) for trial in found.trials)


def _parameter(parameter: SpaceParameter) -> dict[str, Any]:
    spec: dict[str, Any] = {"parameter_id": parameter["id"]}
    kind = parameter["kind"]
    if kind == "categorical":
        return {**spec, "categorical_value_spec": {"values": [str(value) for value in parameter["values"]]}}
    scale = "UNIT_LOG_SCALE" if parameter.get("scale") == "log" else "UNIT_LINEAR_SCALE"
    if kind == "discrete":
        values = sorted(float(value) for value in parameter["values"])
        return {**spec, "scale_type": scale, "discrete_value_spec": {"values": values}}
    if kind not in {"double", "integer"}:
        raise UsageError(f"the search space's {parameter['id']!r} is of the unknown kind {kind!r}")
    number = float if kind == "double" else int
    bounds = {"min_value": number(parameter["low"]), "max_value": number(parameter["high"])}
    return {**spec, "scale_type": scale, f"{kind}_value_spec": bounds}


def _trial(trial: Any) -> Trial:
    measured = trial.final_measurement
    values = [metric.value for metric in measured.metrics if metric.metric_id == METRIC] if measured else []
    return Trial(
        id=str(trial.id),
        state=trial.state.name,
        value=float(values[0]) if values else None,
        parameters={parameter.parameter_id: _plain(parameter.value) for parameter in trial.parameters},
        steps=int(measured.step_count) if measured else 0,
        started=trial.start_time.isoformat(timespec="seconds") if trial.start_time else "",
        ended=trial.end_time.isoformat(timespec="seconds") if trial.end_time else "",
    )


def _plain(value: Any) -> float | str:
    return float(value) if isinstance(value, int | float) else str(value)
