"""A batch transform job of a stand-in's model: one `.out` object for each image, scored for real.

Source: API reference, TransformOutput (outputs only of what succeeded; any failure fails the job). Outputs keep the
path that their input has below its prefix or in its manifest, as Amazon's own local mode does it.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cxr.cloud.aws.local.jobs.job_logs import TRANSFORM_GROUP, JobLogs
from cxr.cloud.aws.local.jobs.objects import InputObject, download, input_objects, split_uri
from cxr.cloud.aws.local.jobs.stand_in import DEFAULT_OUTPUT, SUPPORTED, prediction, score, unpack_model
from cxr.cloud.aws.local.jobs.training_job import Circumstances
from cxr.cloud.aws.local.jobs.work import JobFailedError, JobKey, Work
from cxr.cloud.aws.local.moto_state import now

KIND = "transform-job"
ACCEPTED = ("application/json", "application/jsonlines", "text/csv")
LOG_HOST = "transform"


class TransformJob(Work):
    """A transform job that moto knows already; `model` is its model's container."""

    def __init__(self, around: Circumstances, region: str, body: Mapping[str, Any], model: Mapping[str, Any]) -> None:
        super().__init__(JobKey(KIND, region, body["TransformJobName"]))
        self._around = around
        self._body = body
        self._model = model
        self._job = around.moto.sagemaker(region).transform_jobs[self.key.name]
        self._s3 = around.moto.client("s3", region)
        self._folder: Path = around.settings.transform_dir / self.key.name

    def begin(self) -> None:
        """In progress: nothing of what moto has made up is left."""
        job = self._job
        job.transform_start_time = job.transform_end_time = job.failure_reason = None
        job.labeling_job_arn = job.auto_ml_job_arn = None
        job.transform_job_status = "InProgress"

    def run(self) -> None:
        """Fetch, score, store."""
        rule = self._around.outcomes.rule("fail", self.key.name)
        if rule is not None:
            raise JobFailedError(rule.reason)
        self._job.transform_start_time = now()
        keys, accept = self._wanted()
        shutil.rmtree(self._folder, ignore_errors=True)
        model = self._folder / "model"
        model.mkdir(parents=True)
        labels = unpack_model(self._s3, self._model, model)
        source = self._body["TransformInput"]["DataSource"]["S3DataSource"]
        objects = input_objects(self._s3, source["S3DataType"], source["S3Uri"])
        paths = [self._fetched(one, number) for number, one in enumerate(objects)]
        self.check_stop()
        answers = score(self, self._around.settings.scorer, model, paths, self._folder)
        failures: list[str] = []
        for one, answer in zip(objects, answers, strict=True):
            if "scores" in answer:
                self._store(one, _encoded(prediction(labels, answer["scores"], keys), accept), accept)
            else:
                failures.append(f"{one.uri}: {answer.get('error')}")
        if failures:
            self._log(failures)
            raise JobFailedError("ClientError: See job logs for more information")
        self._end("Completed")

    def failed(self, reason: str) -> None:
        """Failed."""
        with self._around.moto.lock:
            self._job.failure_reason = reason[:1024]
            self._end("Failed")

    def stopped(self) -> None:
        """Stopped."""
        if not self.abandoned.is_set():
            self._end("Stopped")

    def _wanted(self) -> tuple[list[str], str]:
        """The keys of an answer and its format: of the job, else of its model."""
        environment = {**(self._model.get("Environment") or {}), **(self._body.get("Environment") or {})}
        named = environment.get("SAGEMAKER_INFERENCE_OUTPUT") or DEFAULT_OUTPUT
        keys = [key.strip() for key in named.split(",")]
        unknown = [key for key in keys if key not in SUPPORTED]
        if unknown:
            words = f"SAGEMAKER_INFERENCE_OUTPUT names {unknown[0]!r}; supported are {','.join(SUPPORTED)}"
            raise JobFailedError(f"ClientError: {words}")
        default = environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or ACCEPTED[0]
        accept = self._body["TransformOutput"].get("Accept") or default
        if accept not in ACCEPTED:
            raise JobFailedError(f"ClientError: Accept {accept} is not supported; supported are {', '.join(ACCEPTED)}")
        return keys, accept

    def _fetched(self, one: InputObject, number: int) -> Path:
        download(self._s3, [InputObject(one.bucket, one.key, f"{number:06d}")], self._folder / "inputs")
        return self._folder / "inputs" / f"{number:06d}"

    def _store(self, one: InputObject, content: bytes, accept: str) -> None:
        bucket, prefix = split_uri(self._body["TransformOutput"]["S3OutputPath"].rstrip("/") + "/")
        self._s3.put_object(Bucket=bucket, Key=f"{prefix}{one.path}.out", Body=content, ContentType=accept)

    def _log(self, lines: Sequence[str]) -> None:
        client = self._around.moto.client("logs", self.key.region)
        logs = JobLogs(client, TRANSFORM_GROUP, self.key.name, [LOG_HOST])
        for line in lines:
            logs.add({"time": datetime.now(UTC).isoformat(), "task": LOG_HOST, "text": line})
        logs.send()

    def _end(self, status: str) -> None:
        with self._around.moto.lock:
            self._job.transform_end_time = self._job.last_modified_time = now()
            self._job.transform_job_status = status


def _encoded(answer: Mapping[str, Any], accept: str) -> bytes:
    """An answer as the service's own containers write it (sagemaker-xgboost-container, serve_utils)."""
    if accept == "application/json":
        return json.dumps({"predictions": [answer]}).encode()
    if accept == "application/jsonlines":
        return json.dumps(answer).encode() + b"\n"
    stream = io.StringIO()
    row = [value if isinstance(value, str) else json.dumps(value) for value in answer.values()]
    csv.writer(stream, lineterminator="\n").writerow(row)
    return stream.getvalue().encode()
