"""This project's engine: a plan against one listing, then the plan sent, as `cxr cloud upload` does it.

The checksums are known beforehand, as from a manifest.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3  # noqa: F401  (the stores import the SDKs when they are opened: here before the measurement)
import google.cloud.storage  # noqa: F401

from cxr.storage import Digest, open_store
from cxr.storage.transfer.files import LocalFile
from cxr.storage.transfer.haul import Haul, HaulOptions
from cxr.storage.transfer.upload import plan_upload, send_plan
from upload_peers.usage import Job, lines_of, main


def transfer(job: Job) -> None:
    """Plan and send; with `plan_only` no more than the plan."""
    scratch = Path(job["scratch"])
    haul = Haul(HaulOptions(sessions_dir=scratch / "sessions"))
    store = open_store(
        job["url"],
        endpoint=job["endpoint"] if job["url"].startswith("gs:") else None,
        project=job["project"],
        workers=haul.width,
        limits=haul.limits,
        retrier=haul.retrier,
        sessions=haul.sessions,
    )
    plan = plan_upload(_files(job), store, "images/", path=scratch / "plan.jsonl")
    if job.get("plan_only"):
        if plan.totals.to_send.files:
            raise SystemExit(f"{plan.totals.to_send.files} of the objects are not what they should be")
        return
    folder = Path(job["folder"])
    # Names may outnumber the files: NAME stands for the file NAME modulo `files_on_disk`.
    on_disk = int(job.get("files_on_disk", 0))

    def path_of(name: str) -> Path:
        file = name.removeprefix("images/")
        return folder / (f"{int(file[:7]) % on_disk:07d}{file[7:]}" if on_disk else file)

    outcome = send_plan(plan, store, path_of, haul.crew(plan.totals.to_send))
    outcome.require_complete("sent")


def _files(job: Job) -> Iterator[LocalFile]:
    for name, path, size, crc32c, md5, sha256 in lines_of(job):
        yield LocalFile(f"images/{name}", Path(path), Digest(int(size), crc32c, md5, sha256))


if __name__ == "__main__":
    main(transfer)
