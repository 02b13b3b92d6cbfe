"""The export of a finished job, whole: nothing is at the bundle's place before everything has been checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cxr.bundle import Bundle, read_bundle
from cxr.cloud.connection import Connection
from cxr.cloud.exporting.formats import DEFAULT_FORMATS, ExportFormat, parse_formats
from cxr.cloud.exporting.trained import trained_bundle
from cxr.cloud.exporting.verification import Scorer, Verification
from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.provider import Feature, check_offered
from cxr.errors import JobFailed, RulerMismatch, UsageError
from cxr.folders import check_own_files, check_replaceable, replaced_folder
from cxr.progress import Progress

#: Hexadecimal digits of a manifest's whole hash; a label holds fewer.
WHOLE_HASH = 64


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How an export is made. `records` is the folder of what was asked of the service before, `manifest_hash` that of
    the manifest that the user named ("" for none). `again` exports what is in the bucket already, `replace` a bundle
    that is at its place already."""

    scorer: Scorer
    records: Path
    formats: tuple[ExportFormat, ...] = parse_formats(DEFAULT_FORMATS)
    manifest_hash: str = ""
    again: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """The bundle and what was done to verify it."""

    bundle: Bundle
    verified: tuple[Verification, ...]


def export_job(
    connection: Connection,
    job: Job,
    folder: Path,
    options: ExportOptions,
    *,
    on_progress: Progress,
    say: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Bring the model of a finished job to `folder` as a bundle; nothing is left there when it fails.

    Raises JobFailed when the job did not succeed, UsageError for formats that the model does not have, a folder that is
    in use or a job whose manifest is not known, RulerMismatch when it is another one than the user named, CheckFailed
    for a model that is broken.
    """
    if not job.finished:
        raise UsageError(f"{job.id} has not ended yet: it is {job.state}", hint=f"cxr cloud wait {job.id}")
    if not job.succeeded:
        raise JobFailed(f"{job.id} has no model: it is {job.state}", hint=f"cxr cloud status {job.id}")
    if job.kind not in (JobKind.AUTOML, JobKind.CUSTOM, JobKind.TUNE):
        by = job.details.get("trained_by")
        hint = f"cxr cloud evaluate {by} --predict batch --manifest manifest.csv" if by else "cxr cloud jobs"
        raise UsageError(f"{job.id} trained no model: it is of kind {job.kind}", hint=hint)
    if job.kind is JobKind.AUTOML:
        check_offered(connection.provider, Feature.AUTOML_EXPORTS)
    if folder.is_dir() and any(folder.iterdir()) and not options.replace:
        raise UsageError(f"{folder} is not empty", hint="choose another --out, or replace the bundle there: --force")
    check_replaceable(folder)
    check_own_files(folder)
    known = known_manifest(job, options.manifest_hash)
    with replaced_folder(folder) as staging:
        if job.kind is JobKind.AUTOML:
            if len(known) < WHOLE_HASH:
                raise unknown_manifest(job)
            # Its service is asked by Google's SDK; a job on Amazon is brought home without.
            from cxr.cloud.exporting.automl import automl_bundle

            verified = automl_bundle(connection, job, staging, options, known, on_progress, say)
        else:
            verified = (trained_bundle(connection, job, staging, options, known, on_progress),)
    return Exported(read_bundle(folder), verified)


def known_manifest(job: Job, given: str) -> str:
    """The hash of the manifest that a job was trained on: the whole of it, its beginning (all that a label of a job
    started elsewhere holds) or "". Raises RulerMismatch when `given`, the one that the user named, is another one."""
    theirs = job.manifest_hash
    if given and not given.startswith(theirs):
        raise RulerMismatch(
            f"{job.id} was launched for the manifest {theirs[:16]}, not for {given[:16]}",
            hint="name the manifest that it was trained on: --manifest",
        )
    return given or theirs


def unknown_manifest(job: Job) -> UsageError:
    """The error for a job started elsewhere, whose manifest nobody has named."""
    return UsageError(
        f"{job.id} was not launched from this folder: on which manifest it was trained is not known, "
        "and without that its figures can stand beside no others",
        hint=f"name it: cxr cloud export {job.id} --manifest manifest.csv",
    )
