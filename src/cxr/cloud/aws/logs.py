"""The logs of Amazon's jobs: CloudWatch Logs of SageMaker's, the file that a machine of EC2 leaves in the bucket.

Source: SageMaker AI Developer Guide, CloudWatch Logs for Amazon SageMaker AI (groups and streams).
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from cxr.cloud.aws.clients import aws_errors, client
from cxr.cloud.aws.outputs import is_machine
from cxr.cloud.aws.sagemaker.facts import trial_number
from cxr.cloud.aws.sagemaker.job_kinds import name_of
from cxr.cloud.aws.sagemaker.tuning import trial_summaries
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.asking import unanswered
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.seen import LOGS_SINCE, LogLine
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.trainer.epochs import epoch_in
from cxr.errors import NotFound, UsageError

TRAINING_GROUP: Final = "/aws/sagemaker/TrainingJobs"
_PAGE: Final = 1000


def check_has_logs(job: Job) -> None:
    """Raises UsageError, saying where to look instead, for a job whose log is not of the own trainer."""
    if not job.resource:
        raise unanswered(job)
    if job.kind not in {JobKind.CUSTOM, JobKind.TUNE}:
        what = {JobKind.AUTOML: "Autopilot's steps", JobKind.BATCH: "batch transforms"}.get(
            job.kind, f"{job.kind} jobs"
        )
        raise UsageError(
            f"cxr reads no logs of {what}",
            hint=f"cxr cloud status {job.id}; CloudWatch has them under /aws/sagemaker/",
        )


def log_lines(connection: Connection, job: Job, *, since: str = LOGS_SINCE, trial: str = "") -> Iterator[LogLine]:
    """Every line that the job has written so far (of one trial), oldest first, from the time `since` on."""
    check_has_logs(job)
    if trial and job.kind is not JobKind.TUNE:
        raise UsageError(f"{job.id} has no trials: only tuning jobs do", hint=f"cxr cloud logs {job.id}")
    if is_machine(job.resource):
        from cxr.cloud.aws.ec2 import engine

        yield from engine.log_lines(connection, job, since=since)
        return
    start = round(datetime.fromisoformat(since.replace("Z", "+00:00")).timestamp() * 1000)
    streams = [
        _events(connection, stream, number, start)
        for name, number in _training_jobs(connection, job, trial)
        for stream in _streams(connection, name)
    ]
    yield from heapq.merge(*streams, key=lambda line: line.at)


def last_lines(connection: Connection, job: Job, count: int) -> list[LogLine]:
    """The last `count` lines, oldest first."""
    check_has_logs(job)
    if is_machine(job.resource):
        from cxr.cloud.aws.ec2 import engine

        return engine.last_lines(connection, job, count)
    newest: list[LogLine] = []
    for name, number in _training_jobs(connection, job, ""):
        for stream in _streams(connection, name):
            newest += islice(_newest(connection, stream, number, count), count)
    return sorted(newest, key=lambda line: line.at)[-count:]


def last_epoch(connection: Connection, job: Job) -> dict[str, Any]:
    """`epoch`, `epochs` and `measured_at` by the newest of the last lines that tells them, or nothing."""
    told = (epoch_in(line) for line in reversed(last_lines(connection, job, 20)))
    return next(filter(None, told), {})


def _training_jobs(connection: Connection, job: Job, trial: str) -> list[tuple[str, str]]:
    """Names of the training jobs that write for a job, and the trial that each is ("" for none)."""
    if job.kind is not JobKind.TUNE:
        return [(name_of(job.resource), "")]
    names = [str(one["TrainingJobName"]) for one in trial_summaries(connection, job.resource)]
    return [(name, trial_number(name)) for name in names if not trial or trial_number(name) == trial]


def _streams(connection: Connection, training_job: str) -> list[str]:
    """One for each machine (NAME/algo-1-SECONDS); none before the container has begun to write."""
    asked = {"logGroupName": TRAINING_GROUP, "logStreamNamePrefix": f"{training_job}/"}
    try:
        with aws_errors(f"read the log of {training_job}"):
            pages = client(connection, "logs").get_paginator("describe_log_streams").paginate(**asked)
            return [str(one["logStreamName"]) for page in pages for one in page.get("logStreams", ())]
    except NotFound:
        return []


def _events(connection: Connection, stream: str, trial: str, start: int) -> Iterator[LogLine]:
    token: str | None = None
    while True:
        asked = {"logGroupName": TRAINING_GROUP, "logStreamName": stream, "startFromHead": True, "startTime": start}
        with aws_errors(f"read the log {stream}"):
            page = client(connection, "logs").get_log_events(
                **asked, limit=_PAGE, **({"nextToken": token} if token else {})
            )
        yield from (_line(event, stream, trial) for event in page["events"])
        # The end of a stream is told by the token that was sent.
        if page["nextForwardToken"] == token:
            return
        token = page["nextForwardToken"]


def _newest(connection: Connection, stream: str, trial: str, count: int) -> Iterator[LogLine]:
    with aws_errors(f"read the log {stream}"):
        page = client(connection, "logs").get_log_events(
            logGroupName=TRAINING_GROUP, logStreamName=stream, startFromHead=False, limit=max(1, count)
        )
    yield from (_line(event, stream, trial) for event in page["events"])


def _line(event: Any, stream: str, trial: str) -> LogLine:
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC).isoformat(timespec="milliseconds")
    text = str(event["message"]).rstrip("\n")
    return LogLine(at, text, trial, f"{stream} {event['timestamp']} {zlib.crc32(text.encode()):08x}")
