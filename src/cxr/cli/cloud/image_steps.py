"""The steps of `cxr cloud image`: write, plan, show, ask, build, follow."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.cli.cloud.common import CloudFlags, open_connection, prices_at, show_plan
from cxr.cli.out import Out
from cxr.errors import Interrupted, JobFailed, UsageError

if TYPE_CHECKING:
    from cxr.cloud.building.plan import BuildPlan
    from cxr.cloud.building.records import BuildRecord, BuildRecords
    from cxr.cloud.connection import Connection
    from cxr.cloud.prices.table import PriceTable


@dataclass(frozen=True, slots=True)
class ImageWishes:
    """What the command line asks for."""

    out_dir: Path | None
    base: str | None
    build: bool
    repository: str | None
    name: str
    tag: str | None
    machine: str
    timeout_minutes: int
    follow: str | None
    wait: bool
    dry_run: bool
    yes: bool


def run_image(out: Out, flags: CloudFlags, wishes: ImageWishes) -> None:
    """Do what was asked for. Raises UsageError for wishes that exclude each other or ask for nothing."""
    if wishes.follow is not None:
        if wishes.build or wishes.out_dir:
            hint = flags.follow_up(f"cxr cloud image --follow {shlex.quote(wishes.follow)}")
            raise UsageError("--follow stands alone", hint=hint)
        _follow_known(out, flags, wishes.follow)
        return
    if not wishes.build and wishes.out_dir is None:
        raise UsageError("there is nothing to do", hint="--out DIR writes the Dockerfile, --build builds it")
    from cxr.cloud.building.context import build_context, write_context
    from cxr.cloud.trainer.job import PUBLIC_IMAGE

    files = build_context(wishes.base or PUBLIC_IMAGE)
    written: list[Path] = []
    if wishes.out_dir is not None:
        written = write_context(files, wishes.out_dir)
        out.say(f"wrote {', '.join(map(str, written))}")
    if not wishes.build:
        out.hint(f"docker build --tag {shlex.quote(wishes.name)} {shlex.quote(str(wishes.out_dir))}")
        out.say("or in the cloud: --build --repository REGION-docker.pkg.dev/PROJECT/REPOSITORY")
        out.result("cloud.image", {"files": [str(path) for path in written], "base": wishes.base or PUBLIC_IMAGE})
        return
    if wishes.repository is None:
        raise UsageError(
            "--build needs to know where the image goes", hint="--repository REGION-docker.pkg.dev/PROJECT/REPOSITORY"
        )
    _build(out, flags, replace(wishes, base=wishes.base or PUBLIC_IMAGE), files)


def _build(out: Out, flags: CloudFlags, wishes: ImageWishes, files: dict[str, bytes]) -> None:
    from cxr.cloud.connection import resolve
    from cxr.cloud.provider import Feature, check_offered
    from cxr.cloud.providers import provider_of

    settings = flags.settings()
    check_offered(provider_of(settings.on), Feature.IMAGE_BUILDS)
    where = resolve(settings)
    plan = _plan(where, prices_at(where.provider, settings), wishes, files)
    if wishes.dry_run:
        show_plan(out, "build of an image", plan.rows(make_bucket=False), _notes(plan))
        out.result("cloud.image", plan.as_json())
        return
    _start(out, flags, replace(plan, connection=open_connection(settings, out)), wishes, files)


def _start(out: Out, flags: CloudFlags, plan: BuildPlan, wishes: ImageWishes, files: dict[str, bytes]) -> None:
    from cxr.cloud.building.context import packed
    from cxr.cloud.building.records import BuildRecords
    from cxr.cloud.building.service import start_build
    from cxr.storage.buckets import find_bucket

    where, records = plan.connection, BuildRecords(flags.settings().state_dir)
    known = records.get(plan.id)
    if known is not None and known.started:
        out.say(f"this build is already {known.id} ({known.state})")
        _follow(out, flags, where, records, known, wait=wishes.wait)
        return
    _check(out, where)
    bucket = find_bucket(where.bucket, endpoint=where.endpoint, project=where.project)
    make_bucket = bucket.location is None
    show_plan(out, "build of an image", plan.rows(make_bucket=make_bucket), _notes(plan))
    out.confirm(f"Build {plan.image}?", yes=wishes.yes)
    record = start_build(records, plan, packed(files), make_bucket=make_bucket)
    out.say(f"started {record.id}: {record.resource}")
    _follow(out, flags, where, records, record, wait=wishes.wait)


def _plan(where: Connection, prices: PriceTable, wishes: ImageWishes, files: dict[str, bytes]) -> BuildPlan:
    from cxr.cloud.building.plan import plan_build

    return plan_build(
        where,
        files,
        repository=wishes.repository or "",
        name=wishes.name,
        tag=wishes.tag,
        base=wishes.base or "",
        machine=wishes.machine,
        timeout_minutes=wishes.timeout_minutes,
        prices=prices,
    )


def _notes(plan: BuildPlan) -> list[str]:
    if not plan.connection.billed:
        return ["simulated: the emulator checks the build and makes no image; its digest names nothing"]
    region, _, rest = plan.image.partition("-docker.pkg.dev/")
    project, repository, *_ = rest.split("/")
    line = f"gcloud artifacts repositories create {repository} --repository-format=docker"
    return [f"the repository must be there: {line} --location={region} --project={project}"]


def _check(out: Out, where: Connection) -> None:
    from cxr.cloud.preflight import Level, Purpose, Subject, preflight, refuse_on_errors

    findings = preflight(where, Subject(Purpose.IMAGE), quick=True)
    for finding in findings:
        if finding.level is Level.WARNING:
            out.warn(f"{finding.check}: {finding.words}" + (f"; {finding.next}" if finding.next else ""))
    refuse_on_errors(findings)


def _follow_known(out: Out, flags: CloudFlags, start: str) -> None:
    from cxr.cloud.building.records import BuildRecords

    settings = flags.settings()
    records = BuildRecords(settings.state_dir)
    record = records.find(start)
    there = replace(
        settings,
        on=record.on,
        project=record.project,
        region=record.region,
        bucket=record.bucket,
        prefix=record.prefix,
    )
    _follow(out, flags, open_connection(there, out), records, record, wait=True)


def _follow(
    out: Out, flags: CloudFlags, where: Connection, records: BuildRecords, record: BuildRecord, *, wait: bool
) -> None:
    from cxr.cloud.place_flags import place_flags

    again = flags.follow_up(f"cxr cloud image --follow {record.id}")
    record = _until_ended(out, where, records, record, again) if wait else record
    simulated = not where.billed
    out.result("cloud.image", {**asdict(record), "uri": record.uri, "simulated": simulated})
    if not record.finished:
        out.hint(again)
        return
    if not record.digest:
        log = f"its log: {record.log_url}" if record.log_url else None
        raise JobFailed(f"{record.id} is {record.state}: {record.detail or 'the service gave no reason'}", hint=log)
    out.text(record.uri)
    if simulated:
        out.say("simulated: there is no such image")
    out.hint(f"cxr cloud train custom --image {shlex.quote(record.uri)}{place_flags(where, records.state_dir)}")


def _until_ended(out: Out, where: Connection, records: BuildRecords, record: BuildRecord, again: str) -> BuildRecord:
    from cxr.cloud.building.service import look_at_build
    from cxr.cloud.jobs.waiting import poll

    seen = {"state": ""}

    def tell(now: BuildRecord) -> None:
        if now.state != seen["state"]:
            seen["state"] = now.state
            out.say(f"{now.id}: {now.state}")

    try:
        return poll(
            lambda: look_at_build(where, records, record),
            lambda now: now.finished,
            longest_pause_s=15.0 if where.billed else 1.0,
            on_look=tell,
            on_trouble=lambda error: out.say(f"{record.id}: the service does not answer, asking again"),
        )
    except KeyboardInterrupt:
        raise Interrupted(f"{record.id} goes on without this program", hint=again) from None
