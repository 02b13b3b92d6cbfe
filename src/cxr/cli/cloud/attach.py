"""`cxr cloud attach`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr.cli.cloud.common import CloudFlags, connection_of, open_connection, open_journal, prices_at
from cxr.cli.cloud.job_views import as_json, rows_of
from cxr.cli.options import Bucket, Json, On, Prefix, Project, Quiet, Region, StateDir
from cxr.cli.out import Out
from cxr.errors import CxrError, UsageError

if TYPE_CHECKING:
    from cxr.cloud.jobs.journal import Journal
    from cxr.cloud.jobs.seen import Attached
    from cxr.cloud.prices.table import PriceTable
    from cxr.settings import Settings


def attach(
    name: Annotated[str | None, typer.Argument(help="Resource name of a job, or its id with --kind.")] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Every job there that carries cxr's label and is not in the journal, and those whose launch never "
            "got an answer, wherever they were to run.",
        ),
    ] = False,
    kind: Annotated[str | None, typer.Option("--kind", help="Of a bare id: automl, custom, tune or batch.")] = None,
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", "-m", help="What it was trained on [default: manifest.csv, if that is it]."),
    ] = None,
    on: On = None,
    project: Project = None,
    region: Region = None,
    bucket: Bucket = None,
    prefix: Prefix = None,
    state_dir: StateDir = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Take a job that was started elsewhere into the journal: then status, wait, logs, cancel and export know it.

    Example: cxr cloud attach projects/my-project/locations/us-central1/customJobs/1234567890
    """
    from cxr.cloud.jobs.attaching import attach as attach_one
    from cxr.cloud.providers import provider_of

    out, flags = Out(json=json, quiet=quiet), CloudFlags(on, project, region, bucket, prefix, state_dir)
    if (name is None) != everything:
        raise UsageError("say which job: its resource name, or --all for those that carry cxr's label")
    settings = flags.settings()
    journal = open_journal(settings)
    provider = provider_of(settings.on)
    prices = prices_at(provider, settings)
    manifest_hash = _hash_of(manifest) if manifest is not None else _hash_at_hand()
    if name is None:
        found = _attach_all(settings, journal, manifest_hash, prices, out)
    else:
        named = provider.parse_name(name, kind)
        there = named.project or settings.project
        if named.project.isdigit() and settings.project:
            there = settings.project
        settings = replace(settings, project=there, region=named.region or settings.region)
        connection = open_connection(settings, out)
        claimed = manifest is not None
        found = [attach_one(connection, journal, named, manifest_hash=manifest_hash, claimed=claimed, prices=prices)]
    _tell(found, out, flags)


def _attach_all(
    settings: Settings, journal: Journal, manifest_hash: str, prices: PriceTable, out: Out
) -> list[Attached]:
    """What is found here, and wherever a job of the journal was to be launched."""
    from cxr.cloud.jobs.attaching import attach_all, unanswered_jobs

    here = open_connection(settings, out)
    found = attach_all(here, journal, manifest_hash=manifest_hash, prices=prices)
    looked = {(here.on, here.project, here.region)}
    for job in unanswered_jobs(journal):
        place = (job.on, job.project, job.region)
        if place in looked:
            continue
        looked.add(place)
        try:
            there = connection_of(job, settings, out)
            found += attach_all(there, journal, manifest_hash=manifest_hash, prices=prices)
        except CxrError as error:
            out.warn(f"nobody could look for {job.id} in {job.project}, {job.region}: {error.message}")
    for job in unanswered_jobs(journal):
        out.warn(f"{job.id} was not found in {job.project}, {job.region}: launch it again with the same command")
    return found


def _tell(found: list[Attached], out: Out, flags: CloudFlags) -> None:
    for one in found:
        job = one.job
        out.say(f"{'attached' if one.fresh else 'already in the journal'}: {job.resource} is {job.id} ({job.state})")
        if len(found) == 1:
            out.table(("job", job.id), rows_of(job))
        if one.fresh and len(job.manifest_hash) not in {0, 64}:
            out.warn(
                f"the manifest of {job.id} is known by its beginning only ({job.manifest_hash[:16]}…): attach again "
                "with --manifest before its model is compared"
            )
        if not job.finished:
            out.hint(flags.follow_up(f"cxr cloud wait {job.id}"))
    if not found:
        out.say("no other job there carries cxr's label")
    out.result("cloud.attach", {"jobs": [{**as_json(one.job), "fresh": one.fresh} for one in found]})


def _hash_of(manifest: Path) -> str:
    from cxr.manifests.manifest_file import sidecar_of
    from cxr.manifests.manifest_header import read_header

    return read_header(sidecar_of(manifest)).content_hash


def _hash_at_hand() -> str:
    from cxr.cli.options import DEFAULT_MANIFEST

    return _hash_of(DEFAULT_MANIFEST) if DEFAULT_MANIFEST.with_suffix(".json").is_file() else ""
