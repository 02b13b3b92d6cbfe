"""Hyperparameter tuning jobs of SageMaker: the own trainer, many trials, over a search space that is data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cxr.cloud.aws.clients import InUseError, aws_errors, client
from cxr.cloud.aws.names import service_name, tags_of
from cxr.cloud.aws.sagemaker import requests
from cxr.cloud.aws.sagemaker.custom import find_launched
from cxr.cloud.aws.sagemaker.facts import number, trial_number
from cxr.cloud.aws.sagemaker.job_kinds import find, name_of
from cxr.cloud.aws.sagemaker.states import moment, state_of
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.launching import Submitted
from cxr.cloud.jobs.seen import Trial, best_first
from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.cloud.trainer.job import METRIC, SpaceParameter, TuneOptions, job_output_url
from cxr.errors import JobFailed, NotAllowed, UsageError
from cxr.manifests.manifest import Manifest

#: Values of one category, and characters of a value (CategoricalParameterRange).
_MOST_VALUES, _LONGEST_VALUE = 30, 256
_RANGES = {
    "double": "ContinuousParameterRanges",
    "integer": "IntegerParameterRanges",
    "discrete": "CategoricalParameterRanges",
    "categorical": "CategoricalParameterRanges",
}


def submit_tune(
    plan: LaunchPlan, manifest: Manifest, options: TuneOptions, *, on_step: Callable[[str], None]
) -> Submitted:
    """Send what the trials need, create the job, return its ARN at once. An earlier job of the same plan has its name,
    and is returned instead."""
    if earlier := find_launched(plan):
        return Submitted(earlier.resource, found=True)
    role = requests.check_role(plan.connection)
    on_step("sending the trainer and the manifest")
    told = requests.hyperparameters(options.trial, requests.send_inputs(plan, manifest, options.trial))
    told |= requests.toolkit_parameters(plan)
    requests.check_requests(told)
    url, name = job_output_url(plan), service_name(plan)
    definition = {
        "StaticHyperParameters": told,
        "AlgorithmSpecification": requests.algorithm(options.trial),
        "RoleArn": role,
        "InputDataConfig": requests.channels(plan, options.trial),
        "OutputDataConfig": {"S3OutputPath": url},
        "ResourceConfig": requests.machines(options.trial.hardware),
        **requests.limits(options.trial, url),
    }
    if not options.trial.hardware.spot:
        # Trials share one folder, and each begins with what lies there: only one that is taken back has a use for it.
        del definition["CheckpointConfig"]
    try:
        with aws_errors("create the tuning job"):
            made = client(plan.connection, "sagemaker").create_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=name,
                HyperParameterTuningJobConfig=tuning_config(options),
                TrainingJobDefinition=definition,
                Tags=tags_of(plan.labels),
            )
    except InUseError:  # another process was quicker
        return Submitted(find(plan.connection, JobKind.TUNE, name).resource, found=True)
    except NotAllowed as error:
        raise requests.quota_words(error, options.trial.hardware) from error
    return Submitted(str(made["HyperParameterTuningJobArn"]))


def tuning_config(options: TuneOptions) -> dict[str, Any]:
    """HyperParameterTuningJobConfig: Bayesian optimisation of the bundle's own figure, no trial ended early."""
    return {
        "Strategy": "Bayesian",
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": METRIC},
        "ResourceLimits": {
            "MaxNumberOfTrainingJobs": options.trials,
            "MaxParallelTrainingJobs": options.parallel,
        },
        "ParameterRanges": parameter_ranges(options.space),
        "TrainingJobEarlyStoppingType": "Off",
    }


def parameter_ranges(space: Sequence[SpaceParameter]) -> dict[str, list[dict[str, Any]]]:
    """ParameterRanges of a search space. SageMaker knows no discrete numbers: they are categories. Raises UsageError
    for a parameter of an unknown kind, and for more or longer values than SageMaker takes."""
    ranges: dict[str, list[dict[str, Any]]] = {}
    for parameter in space:
        kind = str(parameter["kind"])
        if kind not in _RANGES:
            raise UsageError(f"the search space's {parameter['id']!r} is of the unknown kind {kind!r}")
        ranges.setdefault(_RANGES[kind], []).append(_range(parameter))
    return ranges


def _range(parameter: SpaceParameter) -> dict[str, Any]:
    name = str(parameter["id"])
    if parameter.get("values"):
        values = [str(value) for value in parameter["values"]]
        if len(values) > _MOST_VALUES or max(map(len, values)) > _LONGEST_VALUE:
            raise UsageError(
                f"{name!r} has {len(values)} values: SageMaker takes {_MOST_VALUES}, of {_LONGEST_VALUE} characters",
                hint="a range (low and high) in place of single numbers",
            )
        return {"Name": name, "Values": values}
    number = int if parameter["kind"] == "integer" else float
    return {
        "Name": name,
        "MinValue": str(number(parameter["low"])),
        "MaxValue": str(number(parameter["high"])),
        "ScalingType": "Logarithmic" if parameter.get("scale") == "log" else "Linear",
    }


def read_trials(connection: Connection, job: Job) -> list[Trial]:
    """The trials of a tuning job, best first (those without a measurement last)."""
    return best_first(_trial(told) for told in trial_summaries(connection, job.resource))


def trial_summaries(connection: Connection, resource: str) -> Iterator[Mapping[str, Any]]:
    """The service's summaries of the training jobs that a tuning job has launched."""
    name = name_of(resource)
    with aws_errors(f"read the trials of {name}"):
        pages = client(connection, "sagemaker").get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
        for page in pages.paginate(HyperParameterTuningJobName=name):
            yield from page.get("TrainingJobSummaries", ())


def best_trial(connection: Connection, resource: str) -> dict[str, Any]:
    """The training job, number, figure and parameters of the best trial. Raises JobFailed when no trial has ended with
    a measurement."""
    told = [one for one in trial_summaries(connection, resource) if _value(one) is not None]
    ended = [one for one in told if one.get("TrainingJobStatus") == "Completed"]
    if not ended:
        raise JobFailed(f"no trial of {name_of(resource)} ended with {METRIC}", hint="cxr cloud jobs")
    best = max(ended, key=lambda one: _value(one) or 0.0)
    return {
        "training_job": str(best["TrainingJobName"]),
        "trial": trial_number(str(best["TrainingJobName"])),
        "metric": {METRIC: _value(best)},
        "parameters": _parameters(best),
    }


def _trial(told: Mapping[str, Any]) -> Trial:
    return Trial(
        id=trial_number(str(told["TrainingJobName"])),
        state=state_of(str(told.get("TrainingJobStatus", ""))),
        value=_value(told),
        parameters=_parameters(told),
        steps=0,
        started=moment(told.get("TrainingStartTime")),
        ended=moment(told.get("TrainingEndTime")),
    )


def _value(told: Mapping[str, Any]) -> float | None:
    measured = told.get("FinalHyperParameterTuningJobObjectiveMetric") or {}
    return float(measured["Value"]) if "Value" in measured else None


def _parameters(told: Mapping[str, Any]) -> dict[str, float | str]:
    return {str(key): number(value) for key, value in (told.get("TunedHyperParameters") or {}).items()}
