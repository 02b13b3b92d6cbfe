"""Names of Amazon's resources: ARNs, and how a job is named so that asking twice makes it once.

SageMaker's names are unique in an account and region for ever, which is what makes a launch repeatable: the second
CreateTrainingJob of one plan is refused, and the first job found. Source: CreateTrainingJob (TrainingJobName, 63
characters), CreateHyperParameterTuningJob and CreateAutoMLJobV2 (32 characters).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.seen import JobName, Seen
from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.errors import UsageError

#: What all names begin with: listings can be narrowed by it, where tags cannot be asked for.
PREFIX: Final = "cxr-"
_ARN: Final = re.compile(r"arn:(aws[\w-]*):(\w+):([\w-]*):(\d*):([\w-]+)/(\S+)")
#: Service and type of an ARN -> kind of job.
KIND_OF: Final[Mapping[tuple[str, str], JobKind]] = {
    ("sagemaker", "training-job"): JobKind.CUSTOM,
    ("sagemaker", "hyper-parameter-tuning-job"): JobKind.TUNE,
    ("sagemaker", "automl-job"): JobKind.AUTOML,
    ("sagemaker", "transform-job"): JobKind.BATCH,
    ("ec2", "instance"): JobKind.CUSTOM,
}
_TYPE_OF: Final = {kind: type_ for (service, type_), kind in KIND_OF.items() if service == "sagemaker"}
#: Regions of AWS, its China and its GovCloud partitions (AWS General Reference, Regional endpoints).
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+){1,2}-\d")


@dataclass(frozen=True, slots=True)
class Arn:
    """An ARN taken apart."""

    partition: str
    service: str
    region: str
    account: str
    type: str
    name: str


def parse_arn(text: str) -> Arn | None:
    """The parts of an ARN of a named resource, None for anything else."""
    match = _ARN.fullmatch(text)
    return Arn(*match.groups()) if match else None


def is_region(name: str) -> bool:
    """Whether a name looks like a region of Amazon's."""
    return _REGION.fullmatch(name) is not None


def partition_of(region: str) -> str:
    """`aws`, `aws-cn` or `aws-us-gov`."""
    return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rsplit("-", 2)[0], "aws")


def service_name(plan: LaunchPlan) -> str:
    """What a plan's job is called on the service."""
    return f"{PREFIX}{plan.job_id}"


def tags_of(labels: Mapping[str, str]) -> list[dict[str, str]]:
    """Labels as SageMaker and EC2 take them."""
    return [{"Key": key, "Value": value} for key, value in labels.items()]


def labels_of(tags: Any) -> dict[str, str]:
    """Tags as labels."""
    return {str(one["Key"]): str(one["Value"]) for one in tags or ()}


def parse_job_name(text: str, kind: str | None) -> JobName:
    """An ARN, or a bare name with its kind. Raises UsageError saying which is missing or wrong."""
    text = text.strip()
    kinds = [str(one) for one in _TYPE_OF]
    if kind is not None and kind not in kinds:
        raise UsageError(f"there is no kind of job {kind!r}", hint=f"choose one of: {', '.join(kinds)}")
    arn = parse_arn(text)
    if arn is None:
        if kind is None or not re.fullmatch(r"[\w-]+", text):
            raise UsageError(
                f"{text!r} is no ARN, and its kind is not said",
                hint=f"arn:aws:sagemaker:REGION:ACCOUNT:training-job/NAME, or a name with --kind {'|'.join(kinds)}",
            )
        return JobName(text, JobKind(kind))
    found = KIND_OF.get((arn.service, arn.type))
    if found is None:
        known = ", ".join(type_ for _, type_ in KIND_OF)
        raise UsageError(f"{text!r} is not the ARN of a job", hint=f"its type must be one of {known}")
    if kind is not None and JobKind(kind) is not found:
        raise UsageError(f"{text} is no {kind} job but a {found} job", hint="leave --kind out")
    return JobName(text, found, arn.account, arn.region)


def full_name(connection: Connection, name: JobName, account: str) -> str:
    """The ARN of a job of SageMaker that was named by its name."""
    if name.project:
        return name.resource
    where = connection.region
    return f"arn:{partition_of(where)}:sagemaker:{where}:{account}:{_TYPE_OF[name.kind]}/{name.resource}"


def job_place(connection: Connection, seen: Seen) -> Connection:
    """Region by the ARN; bucket and prefix by where a job of ours writes. The account stays what the user said: it is
    part of no plan's name unless it was given."""
    arn = parse_arn(seen.resource)
    region = arn.region if arn else connection.region
    # A batch transform's answers have a folder of their own.
    found = re.fullmatch(r"s3://([^/]+)/(?:(.*)/)?(?:jobs/[^/]+|predictions/[^/]+(?:/answers)?)", seen.output_url)
    bucket, prefix = (found.group(1), found.group(2) or "") if found else (connection.bucket, connection.prefix)
    return replace(connection, region=region, bucket=bucket, prefix=prefix)
