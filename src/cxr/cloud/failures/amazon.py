"""Why jobs of SageMaker and machines of EC2 fail.

Sources: FailureReason as users report it (github.com/aws/sagemaker-python-sdk, issues 57, 1968; aws/
amazon-sagemaker-examples, issues 372, 1224, 2267), DescribeTrainingJob (SecondaryStatus), CreateTrainingJob (Errors),
and the EC2 user guide, "Spot Instance interruptions" and "Troubleshoot instance launch issues".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cxr.cloud.failures.cause import CONTAINERS, Cause, CauseTable
from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind

QUOTA_PAGE: Final = "https://{region}.console.aws.amazon.com/servicequotas/home/services/{service}/quotas"

CAUSES: Final[tuple[Cause, ...]] = (
    # These first: the message quotes the program, which may speak of anything.
    Cause(
        "out-of-memory",
        r"exit ?code:? 137\b|exit status:? 137\b|out.of.memory|OutOfMemory|OOMKilled"
        r"|use an instance type with more memory",
        "the program was killed, most likely because the machine's memory was full (exit status 137)",
        "{again} with a larger --machine",
        CONTAINERS,
        show_log=True,
    ),
    Cause(
        "program",
        r"AlgorithmError|ExecuteUserScriptError|exit ?code:? [1-9]|exit status:? [1-9]|framework error",
        "the program in the container failed{status}",
        "see the whole log: cxr cloud logs {job}",
        CONTAINERS,
        show_log=True,
    ),
    Cause(
        "quota",
        r"ResourceLimitExceeded|VcpuLimitExceeded|InstanceLimitExceeded|MaxSpotInstanceCountExceeded"
        r"|(service|account)-level (service )?limit|exceed.{0,40}(quota|limit)|(quota|limit).{0,40}exceeded",
        "the account's quota{quota} is used up or too small",
        f"ask for more at {QUOTA_PAGE} or wait for other jobs to end, then {{again}}",
    ),
    Cause(
        "spot-wait",
        r"MaxWaitTimeExceeded|waited for spot capacity",
        "it waited for spot capacity until its time was over",
        "{again} without --spot, or with another --machine or --region",
        CONTAINERS,
    ),
    Cause(
        "timeout",
        r"MaxRuntimeExceeded|MaxAutoMLJobRuntime|ran longer than its timeout|timed? ?out",
        "the job was ended at its timeout{limit}",
        "{again} with a larger --timeout-hours",
        CONTAINERS,
    ),
    Cause(
        "stock-out",
        r"CapacityError|InsufficientInstanceCapacity|InsufficientCapacity|insufficient (instance )?capacity"
        r"|unable to provision|does not currently have (enough|sufficient)|SpotMaxPriceTooLow|capacity-not-available",
        "no {machine} is left in {region} at this moment",
        "another --machine or --region, or without --spot: {again}",
    ),
    Cause(
        "preempted",
        r"SpotInstanceTermination|SpotInstanceShutdown|spot (instance|machine|capacity).{0,60}"
        r"(interrupt|reclaim|terminat|taken back)|\bInterrupted\b",
        "the spot machine was taken back before the job had ended",
        "{again} without --spot; checkpoints are kept, and the new run goes on from them where it can",
        CONTAINERS,
    ),
    Cause(
        "image-pull",
        r"pull.{0,40}(container|image)|image.{0,80}(not found|does not exist|denied)|manifest unknown"
        r"|ecr:(GetAuthorizationToken|BatchGetImage|GetDownloadUrlForLayer)",
        "the container image cannot be pulled",
        "check that the image is in ECR in {region} and that the role may read it (ecr:BatchGetImage), then {again} "
        "with --image IMAGE",
        CONTAINERS,
    ),
    Cause(
        "role",
        r"(cannot|could not|unable to|not be able to|failed to).{0,30}assum|role.{0,60}can be assumed"
        r"|sts:AssumeRole|iam:PassRole|PassRole",
        "the service may not take the role on{role}",
        "let sagemaker.amazonaws.com assume it and yourself pass it (iam:PassRole): cxr cloud check --for {checked}; "
        "then {again}",
    ),
    Cause(
        "no-data",
        r"no S3 objects found|NoSuchKey|NoSuchBucket|HeadObject.{0,40}not found"
        r"|(bucket|object|key|path).{0,40}does not exist",
        "the images or the job's inputs are not in s3://{bucket} where the job looks for them",
        "send them again: cxr cloud upload, then {again}",
    ),
    Cause(
        "role-denied",
        r"AccessDenied|access denied|not authorized to perform|forbidden|permission.{0,30}denied",
        "the role that the job runs as{role} may not do what the job needs{permission}",
        "allow it in the role's policy; cxr cloud check --for {checked} says what is missing; then {again}",
    ),
    Cause(
        "disk-full",
        r"no space left|disk.{0,20}full|insufficient disk",
        "the machine's disk was full",
        "{again} with a larger --disk-gb",
        CONTAINERS,
        show_log=True,
    ),
    Cause(
        "upload",
        r"artifact upload failed",
        "the model was trained and could not be written to s3://{bucket}",
        "check that the role may write there (s3:PutObject), then {again}",
    ),
    Cause(
        "download",
        r"data download failed|failed to download data",
        "the job could not fetch its images from s3://{bucket}",
        "cxr cloud check --for {checked}, then {again}",
    ),
    Cause(
        "too-few-images",
        r"(not enough|at least|too few|fewer than|minimum|insufficient).{0,60}"
        r"(image|item|example|row|record|class|label)",
        "there are too few images, of some label or in some split",
        "look at the counts: cxr data check; add images or labels, split and upload again, then {again}",
        (JobKind.AUTOML,),
    ),
    Cause(
        "all-trials",
        r"(\ball\b|training jobs?|trials?).{0,60}(fail|did not succeed)|no training job succeeded",
        "too many trials of the tuning failed",
        "see why: cxr cloud logs {job} --trial 1",
        (JobKind.TUNE,),
        show_log=True,
    ),
    Cause(
        "no-ending",
        r"ended before it had finished|no exit record|UserInitiatedShutdown|InstanceInitiatedShutdown",
        "the machine is gone, and the trainer has left no word of how it ended",
        "see how far it came: cxr cloud logs {job}; then {again}",
        CONTAINERS,
        show_log=True,
    ),
    Cause(
        "service",
        r"InternalServerError|InternalError|internal (server |service )?error|ServiceUnavailable",
        "the service failed by its own fault",
        "{again}; if it happens twice: https://health.aws.amazon.com/health/status",
    ),
)

_CHECKED: Final = {JobKind.CUSTOM: "custom", JobKind.TUNE: "tune"}


def _facts(job: Job) -> Mapping[str, str]:
    said = job.error
    quota = re.search(r"limit '([^']+)'|'([^']+ usage)'", said)
    role = re.search(r"arn:aws[\w-]*:iam::\d*:role/[\w+=,.@/-]+", said)
    permission = re.search(r"not authorized to perform: ([\w-]+:\w+)", said)
    return {
        "service": "ec2" if ":ec2:" in job.resource or job.details.get("engine") == "ec2" else "sagemaker",
        "quota": f" {quota.group(1) or quota.group(2)}" if quota else "",
        "role": f" ({role.group()})" if role else "",
        "permission": f": {permission.group(1)}" if permission else "",
        "checked": _CHECKED.get(job.kind, "automl"),
    }


AMAZON: Final = CauseTable(CAUSES, _facts)
