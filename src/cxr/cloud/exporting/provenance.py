"""Where a bundle of a job comes from; no SDK is needed to say it."""

from __future__ import annotations

from typing import Any

from cxr.cloud.jobs.journal import Job


def job_provenance(job: Job) -> dict[str, Any]:
    """Which job made it, where and when."""
    return {"job": job.id, "resource": job.resource, "on": str(job.on), "launched": job.created, "ended": job.ended}
