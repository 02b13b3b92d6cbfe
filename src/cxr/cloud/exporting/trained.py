"""The bundle that a custom job's trainer wrote, or that of a tuning job's best trial."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cxr.archives import unpack_tar
from cxr.bundle import read_bundle, write_bundle
from cxr.cloud.connection import Connection
from cxr.cloud.exporting.cost import cost_of
from cxr.cloud.exporting.provenance import job_provenance
from cxr.cloud.exporting.verification import Verification, verify_bundle
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.seen import ModelOutput
from cxr.errors import Fault, InputError, RulerMismatch
from cxr.progress import Progress
from cxr.storage.transfer.download import download_all

if TYPE_CHECKING:
    from cxr.cloud.exporting.bringing import ExportOptions


def trained_bundle(
    connection: Connection,
    job: Job,
    folder: Path,
    options: ExportOptions,
    manifest_hash: str,
    on_progress: Progress,
) -> Verification:
    """Download what the job wrote and verify it. `manifest_hash` is what is known of the job's manifest: all of its
    hash, its beginning, or "".

    Raises Fault when there is nothing, RulerMismatch when it was trained on another manifest, CheckFailed when it
    cannot be scored.
    """
    output = connection.provider.model_output(connection, job)
    if not _fetch(connection, output, folder, on_progress):
        raise Fault(f"{job.id} succeeded but wrote nothing to {output.url}")
    try:
        bundle = read_bundle(folder)
    except InputError as error:
        raise InputError(
            f"what {job.id} wrote to {output.url} is no bundle: {error.message}",
            hint="only jobs that ran cxr's own trainer can be brought home",
        ) from error
    if not bundle.info.manifest_hash.startswith(manifest_hash):
        raise RulerMismatch(
            f"{job.id} is of manifest {manifest_hash[:16]} and was trained on {bundle.info.manifest_hash[:16]}",
            hint="launch it anew: cxr cloud train custom --again",
        )
    verified = verify_bundle(bundle, options.scorer)
    provenance = {**bundle.info.provenance, **job_provenance(job), **output.trial}
    provenance["verification"] = {verified.format: verified.as_json()}
    write_bundle(folder, replace(bundle.info, provenance=provenance, cost=cost_of(connection, job)))
    return verified


def _fetch(connection: Connection, output: ModelOutput, folder: Path, on_progress: Progress) -> bool:
    """Whether there was anything."""
    if not output.archive:
        return bool(download_all(connection.open(output.url), folder, on_progress=on_progress))
    place, _, name = output.url.rpartition("/")
    with TemporaryDirectory(prefix="cxr-archive-") as scratch:
        on_progress(0, 2, f"fetching {name}")
        archive = Path(scratch) / name
        connection.open(place).get_file(name, archive)
        on_progress(1, 2, f"unpacking {name}")
        # What a job wrote is somebody else's archive.
        unpack_tar(archive, folder, name=output.url)
    on_progress(2, 2, "")
    return any(folder.iterdir())
