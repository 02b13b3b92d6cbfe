"""Cloud Build: a build started once, and looked at until it has ended."""

from __future__ import annotations

from typing import Any, Final

from cxr.cloud.building.plan import MACHINES, BuildPlan
from cxr.cloud.building.records import WITHOUT_IMAGE, BuildRecord, BuildRecords
from cxr.cloud.connection import Connection
from cxr.cloud.vertex.preflight.clients import REQUEST_TIMEOUT_S, build_client
from cxr.errors import UsageError
from cxr.locks import only_one
from cxr.storage.buckets import create_private_bucket
from cxr.storage.google.errors import google_errors

#: The builder with Docker in it (https://cloud.google.com/build/docs/cloud-builders).
DOCKER: Final = "gcr.io/cloud-builders/docker"


def start_build(records: BuildRecords, plan: BuildPlan, context: bytes, *, make_bucket: bool) -> BuildRecord:
    """Send the context and start the build; its name is written down at once. A build of the same plan that has not
    failed is taken instead: by its record (two processes of one folder wait for each other), or by its tag (a crash
    came between answer and record)."""
    with only_one(records.state_dir, plan.id):
        known = records.get(plan.id)
        if known is not None and known.started:
            return known
        return _start(records, plan, context, make_bucket)


def look_at_build(connection: Connection, records: BuildRecords, record: BuildRecord) -> BuildRecord:
    """Ask the service how a build is, and write it down. Raises UsageError for one that never got an answer."""
    if not record.resource:
        raise UsageError(
            f"{record.id} was about to be started when the program ended",
            hint="run the same cxr cloud image command again: it finds the build or starts it",
        )
    with google_errors(f"ask for {record.id}"):
        # Only the name: with a project id as well the client would ask for a build without a region.
        build = build_client(connection).get_build(request={"name": record.resource}, timeout=REQUEST_TIMEOUT_S)
    return records.update(record, **_seen(build))


def _start(records: BuildRecords, plan: BuildPlan, context: bytes, make_bucket: bool) -> BuildRecord:
    where = plan.connection
    record = records.intend(plan)
    if make_bucket:
        create_private_bucket(where.bucket, region=where.region, endpoint=where.endpoint, project=where.project)
    store = where.store(f"builds/{plan.id}")
    sent = store.replace_bytes("context.tar.gz", context, content_type="application/gzip")
    client = build_client(where)
    with google_errors("look for the build"):
        wanted = {"parent": where.parent, "filter": f'tags="{plan.id}"'}
        earlier = list(client.list_builds(request=wanted, timeout=REQUEST_TIMEOUT_S))
    alive = [build for build in earlier if build.status.name not in WITHOUT_IMAGE]
    if alive:
        return records.update(record, **_seen(alive[0]))
    with google_errors("start the build"):
        operation = client.create_build(
            request={"parent": where.parent, "build": _build(plan, sent.version)}, timeout=REQUEST_TIMEOUT_S
        )
        started = operation.metadata.build
    return records.update(record, **_seen(started))


def _build(plan: BuildPlan, generation: str) -> dict[str, Any]:
    where = plan.connection
    name = plan.context_url.removeprefix(f"gs://{where.bucket}/")
    return {
        "source": {"storage_source": {"bucket": where.bucket, "object_": name, "generation": int(generation)}},
        "steps": [{"name": DOCKER, "args": ["build", "--tag", plan.image, "."]}],
        "images": [plan.image],
        "timeout": {"seconds": plan.timeout_minutes * 60},
        "options": {"machine_type": MACHINES[plan.machine], "logging": "CLOUD_LOGGING_ONLY"},
        "tags": [plan.id, "cxr"],
    }


def _seen(build: Any) -> dict[str, str]:
    failure = build.failure_info.detail if build.failure_info else ""
    images = list(build.results.images) if build.results else []
    return {
        "resource": str(build.name),
        "state": str(build.status.name),
        "detail": " ".join(str(failure or build.status_detail).split()),
        "digest": str(images[0].digest) if images else "",
        "log_url": str(build.log_url),
    }
