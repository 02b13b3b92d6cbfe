"""One table of SageMaker's jobs: how each is asked for, listed and stopped, and what its description tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cxr.cloud.aws.clients import aws_errors, client
from cxr.cloud.aws.names import PREFIX, labels_of, parse_arn
from cxr.cloud.aws.sagemaker import facts
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.seen import Seen
from cxr.cloud.plans.launch import JobKind

_UNFINISHED = ("InProgress", "Stopping")


@dataclass(frozen=True, slots=True)
class SageMakerJobs:
    """One kind: `operation` is its part of the operations' names (`training_job`), `name` its argument's
    (`TrainingJobName`), `listed` where a listing has its summaries; `seen` reads a description."""

    describe: str
    list: str
    stop: str
    name: str
    arn: str
    status: str
    listed: str
    seen: Callable[[Mapping[str, Any], Mapping[str, str]], Seen]


KINDS: dict[JobKind, SageMakerJobs] = {
    JobKind.CUSTOM: SageMakerJobs(
        "describe_training_job",
        "list_training_jobs",
        "stop_training_job",
        "TrainingJobName",
        "TrainingJobArn",
        "TrainingJobStatus",
        "TrainingJobSummaries",
        facts.training_job,
    ),
    JobKind.TUNE: SageMakerJobs(
        "describe_hyper_parameter_tuning_job",
        "list_hyper_parameter_tuning_jobs",
        "stop_hyper_parameter_tuning_job",
        "HyperParameterTuningJobName",
        "HyperParameterTuningJobArn",
        "HyperParameterTuningJobStatus",
        "HyperParameterTuningJobSummaries",
        facts.tuning_job,
    ),
    JobKind.AUTOML: SageMakerJobs(
        "describe_auto_ml_job_v2",
        "list_auto_ml_jobs",
        "stop_auto_ml_job",
        "AutoMLJobName",
        "AutoMLJobArn",
        "AutoMLJobStatus",
        "AutoMLJobSummaries",
        facts.automl_job,
    ),
    JobKind.BATCH: SageMakerJobs(
        "describe_transform_job",
        "list_transform_jobs",
        "stop_transform_job",
        "TransformJobName",
        "TransformJobArn",
        "TransformJobStatus",
        "TransformJobSummaries",
        facts.transform_job,
    ),
}


def describe(connection: Connection, kind: JobKind, name: str) -> Mapping[str, Any]:
    """The service's whole description of a job. Raises NotFound."""
    jobs = KINDS[kind]
    with aws_errors(f"ask for {name}"):
        found: Mapping[str, Any] = getattr(client(connection, "sagemaker"), jobs.describe)(**{jobs.name: name})
    return found


def look(connection: Connection, kind: JobKind, resource: str, *, with_tags: bool = True) -> Seen:
    """Ask for one job by its ARN, with its tags if wanted (a request more)."""
    described = describe(connection, kind, name_of(resource))
    tags = tags_of(connection, resource) if with_tags else {}
    return KINDS[kind].seen(described, tags)


def find(connection: Connection, kind: JobKind, name: str) -> Seen:
    """The same by its name. Raises NotFound."""
    described = describe(connection, kind, name)
    return KINDS[kind].seen(described, tags_of(connection, str(described[KINDS[kind].arn])))


def stop(connection: Connection, kind: JobKind, resource: str) -> None:
    """Ask for the end of a job; its machines get 120 seconds. Raises InputError for one that has ended."""
    jobs, name = KINDS[kind], name_of(resource)
    with aws_errors(f"cancel {name}"):
        getattr(client(connection, "sagemaker"), jobs.stop)(**{jobs.name: name})


def labelled(connection: Connection, kinds: Iterable[JobKind]) -> Iterator[tuple[JobKind, Seen]]:
    """Jobs whose name begins as ours do and that carry one of cxr's tags. Trials are told by their tuning job."""
    for kind in kinds:
        if kind not in KINDS:
            continue
        for resource in _listed(connection, kind, NameContains=PREFIX):
            if not name_of(resource).startswith(PREFIX):
                continue
            seen = look(connection, kind, resource)
            if seen.labels and not seen.details.get("trial_of"):
                yield kind, seen


def unfinished(connection: Connection) -> Iterator[tuple[JobKind, Seen]]:
    """All jobs of the account and region that have not ended."""
    for kind in KINDS:
        for status in _UNFINISHED:
            for resource in _listed(connection, kind, StatusEquals=status):
                yield kind, look(connection, kind, resource)


def tags_of(connection: Connection, resource: str) -> dict[str, str]:
    """A resource's tags as labels."""
    with aws_errors(f"read the tags of {name_of(resource)}"):
        pages = client(connection, "sagemaker").get_paginator("list_tags").paginate(ResourceArn=resource)
        return labels_of([tag for page in pages for tag in page.get("Tags", ())])


def name_of(resource: str) -> str:
    """The name in an ARN."""
    arn = parse_arn(resource)
    return arn.name if arn else resource


def _listed(connection: Connection, kind: JobKind, **wanted: str) -> list[str]:
    jobs = KINDS[kind]
    with aws_errors(f"list the {kind} jobs"):
        pages = client(connection, "sagemaker").get_paginator(jobs.list).paginate(**wanted)
        return [str(one[jobs.arn]) for page in pages for one in page.get(jobs.listed, ())]
