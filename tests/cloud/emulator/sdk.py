"""Google's unmodified Vertex SDK, pointed at a server the documented way."""

from __future__ import annotations

import time
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud import aiplatform_v1 as v1

PARENT = "projects/p/locations/us-central1"
IMAGE = "docker.io/library/python:3.11"
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")


def client(kind: type[Any], url: str) -> Any:
    """A lower-level client of a class."""
    return kind(credentials=AnonymousCredentials(), transport="rest", client_options={"api_endpoint": url})


def init(url: str, bucket: str) -> None:
    """What the high-level classes work on."""
    aiplatform.init(
        api_endpoint=url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
        project="p",
        location="us-central1",
        staging_bucket=f"gs://{bucket}",
    )


def pool(*command: str, replicas: int = 1, **container: Any) -> v1.WorkerPoolSpec:
    """A worker pool that runs a command."""
    return v1.WorkerPoolSpec(
        machine_spec=v1.MachineSpec(machine_type="n1-standard-4"),
        replica_count=replicas,
        container_spec=v1.ContainerSpec(image_uri=IMAGE, command=list(command), **container),
    )


def custom_job(*pools: v1.WorkerPoolSpec, name: str = "c", **spec: Any) -> v1.CustomJob:
    """A custom job of these pools."""
    labels = {"run": name}
    return v1.CustomJob(
        display_name=name, labels=labels, job_spec=v1.CustomJobSpec(worker_pool_specs=list(pools), **spec)
    )


def wait_until_ended(get: Any, seconds: float = 240) -> Any:
    """Poll a job until it has ended."""
    deadline = time.monotonic() + seconds
    while not (job := get()).state.name.endswith(ENDED):
        assert time.monotonic() < deadline, f"still {job.state.name}"
        time.sleep(0.03)
    return job
