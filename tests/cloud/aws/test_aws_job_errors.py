"""Amazon's messages in plain words: each cause, with the next command, none of it Google's."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any

import pytest

from cxr.cloud.failures.amazon import CAUSES
from cxr.cloud.failures.explaining import explain
from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind
from cxr.settings import Target

DETAILS = {"machine": "ml.g4dn.xlarge", "gpus": 1, "timeout_hours": 2.0}
MACHINE = "arn:aws:ec2:us-east-1:123456789012:instance/i-1"


def failed(kind: JobKind, message: str, code: str = "", **changes: Any) -> Job:
    plain = Job(f"{kind}-1", kind, Target.AWS, "", "us-east-1", "my-bucket", "cxr", "f" * 64, "")
    changes = {"state": "FAILED", "error": message, "progress": {"error_code": code}, "details": DETAILS} | changes
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("kind", "code", "message", "cause", "words", "step"),
    [
        (JobKind.CUSTOM, "CapacityError", "CapacityError: Unable to provision requested ML compute capacity. Please "
         "retry using a different ML instance type.", "stock-out", "no ml.g4dn.xlarge is left in us-east-1",
         "another --machine or --region"),
        (JobKind.CUSTOM, "", "ResourceLimitExceeded: The account-level service limit 'ml.g4dn.xlarge for training job "
         "usage' is 0 Instances", "quota", "ml.g4dn.xlarge for training job usage",
         "us-east-1.console.aws.amazon.com/servicequotas/home/services/sagemaker"),
        (JobKind.CUSTOM, "AlgorithmError", "AlgorithmError: , exit code: 1", "program", "exit status 1",
         "cxr cloud logs custom-1"),
        (JobKind.TUNE, "AlgorithmError", "AlgorithmError: ExecuteUserScriptError: ExitCode 137 ErrorMessage 'quota "
         "exceeded'", "out-of-memory", "memory was full", "larger --machine"),
        (JobKind.CUSTOM, "AlgorithmError", "AlgorithmError: framework error: Traceback … AccessDenied", "program",
         "failed", "cxr cloud logs custom-1"),
        (JobKind.CUSTOM, "ClientError", "ClientError: No S3 objects found under S3 URL \"s3://my-bucket/x\" given in "
         "input data source.", "no-data", "not in s3://my-bucket", "cxr cloud upload"),
        (JobKind.CUSTOM, "ClientError", "ClientError: Data download failed: AccessDenied (403): Access Denied",
         "role-denied", "may not do what the job needs", "cxr cloud check --for custom"),
        (JobKind.AUTOML, "ClientError", "ClientError: SageMaker could not assume the role "
         "arn:aws:iam::123456789012:role/trainer. Please ensure that the role exists", "role",
         "arn:aws:iam::123456789012:role/trainer", "cxr cloud check --for automl"),
        (JobKind.CUSTOM, "ClientError", "ClientError: Cannot pull algorithm container. Either the image does not exist "
         "or its permissions are incorrect.", "image-pull", "cannot be pulled", "--image IMAGE"),
        (JobKind.CUSTOM, "ClientError", "ClientError: Artifact upload failed: Insufficient", "upload", "s3://my-bucket",
         "s3:PutObject"),
        (JobKind.CUSTOM, "InternalServerError", "InternalServerError: We encountered an internal error. Please try "
         "again.", "service", "by its own fault", "health.aws.amazon.com"),
        (JobKind.CUSTOM, "MaxRuntimeExceeded", "it ran longer than its timeout", "timeout", "of 2 hours",
         "--timeout-hours"),
        (JobKind.CUSTOM, "MaxWaitTimeExceeded", "it waited for spot capacity and ran longer than its timeout",
         "spot-wait", "waited for spot capacity", "without --spot"),
        (JobKind.CUSTOM, "", "the machine ended before it had finished: Server.SpotInstanceTermination: Spot instance "
         "termination", "preempted", "taken back", "without --spot"),
        (JobKind.CUSTOM, "", "the machine ended before it had finished", "no-ending", "no word of how it ended",
         "cxr cloud logs custom-1"),
        (JobKind.CUSTOM, "", "no space left on device", "disk-full", "disk was full", "--disk-gb"),
        (JobKind.TUNE, "", "All training jobs failed.", "all-trials", "too many trials", "--trial 1"),
        (JobKind.AUTOML, "", "There are too few images of the class NORMAL", "too-few-images", "too few",
         "cxr data check"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)  # fmt: skip
def test_a_message_is_explained(kind: JobKind, code: str, message: str, cause: str, words: str, step: str) -> None:
    explanation = explain(failed(kind, message, code))
    assert explanation.cause == cause
    assert words in explanation.words
    assert step in explanation.next_step


def test_a_quota_of_ec2_is_asked_for_where_ec2s_quotas_are() -> None:
    message = "VcpuLimitExceeded: You have requested more vCPU capacity than your current vCPU limit"
    assert "services/ec2/quotas" in explain(failed(JobKind.CUSTOM, message, resource=MACHINE)).next_step


@pytest.mark.parametrize("target", [Target.AWS, Target.AWS_LOCAL])
def test_every_entry_can_be_told_of_every_job_and_names_nothing_of_googles(target: Target) -> None:
    for cause in CAUSES:
        assert "google" not in f"{cause.words}{cause.next_step}".lower()
        assert "gcloud" not in cause.next_step
        for kind in cause.kinds or tuple(JobKind):
            for details in (DETAILS, {}):
                explanation = explain(failed(kind, cause.name, details=details, on=target))
                assert "{" not in explanation.words + explanation.next_step
                assert explanation.next_step
            words, step = cause.words, cause.next_step
            assert set(_fields(words) | _fields(step)) <= KNOWN
    assert len({cause.name for cause in CAUSES}) == len(CAUSES)


def test_the_same_message_of_google_is_explained_by_googles_table() -> None:
    job = failed(JobKind.CUSTOM, "RESOURCE_EXHAUSTED: Resources are insufficient in region", on=Target.GCP)
    assert "FLEX_START" in explain(job).next_step


KNOWN = {
    *("job", "kind", "machine", "accelerator", "region", "project", "bucket", "status", "limit", "again"),
    *("service", "quota", "role", "permission", "checked"),
}


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
