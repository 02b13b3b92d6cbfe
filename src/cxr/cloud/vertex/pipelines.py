"""What a finished training pipeline says of its model."""

from __future__ import annotations

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, pipeline_client
from cxr.errors import Fault, UsageError
from cxr.storage.google.errors import google_errors


def model_of(connection: Connection, job: Job) -> str:
    """The resource name of the model that an AutoML job trained. Raises UsageError for a job of another kind, whose
    model is a file in the bucket and no resource of the service."""
    if job.kind in (JobKind.BATCH, JobKind.IMPORT):
        by = job.details.get("trained_by")
        hint = f"its answers come home with: cxr cloud evaluate {by} --predict batch --manifest manifest.csv"
        raise UsageError(
            f"{job.id} trained no model: it is of kind {job.kind}", hint=hint if by else "which did: cxr cloud jobs"
        )
    if job.kind is not JobKind.AUTOML:
        raise UsageError(
            f"the model of {job.id} is in the bucket, the service has none of it",
            hint=f"judge it here: cxr cloud export {job.id}, then cxr compare",
        )
    if job.model:
        return job.model
    with google_errors(f"ask for {job.id}"):
        pipeline = pipeline_client(connection).get_training_pipeline(name=job.resource, timeout=REQUEST_TIMEOUT_S)
    name = str(pipeline.model_to_upload.name)
    if not name:
        raise Fault(f"{job.id} ended without a model", hint=f"cxr cloud status {job.id}")
    return name
