"""What every launch goes through: make or read the plan, show it with its cost, save it or confirm it, launch."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.cli.cloud.check import check_launch
from cxr.cli.cloud.common import CloudFlags, check_price_file, open_connection, open_journal, prices_at, show_plan
from cxr.cli.cloud.train_options import OLD_AFTER_DAYS, LaunchWishes
from cxr.cli.out import Out
from cxr.errors import InputError, JobFailed, NotAllowed, UsageError
from cxr.settings import Settings, Target

if TYPE_CHECKING:
    from cxr.cloud.connection import Connection
    from cxr.cloud.jobs.journal import Journal
    from cxr.cloud.jobs.launching import Launch
    from cxr.cloud.plans.files import SavedPlan
    from cxr.cloud.plans.launch import JobKind, LaunchPlan
    from cxr.cloud.prices.table import PriceTable
    from cxr.cloud.provider import JobOptions, LaunchOptions
    from cxr.manifests.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Context:
    """What a plan is made in: where, of which manifest, at which prices, after which earlier jobs."""

    connection: Connection
    manifest: Manifest
    manifest_path: Path
    prices: PriceTable
    journal: Journal


@dataclass(frozen=True, slots=True)
class Maker:
    """How one kind of job is planned and started.

    `options(connection)` reads what was asked for, which may fail; `inputs` are the paths that the plan is made from;
    `plan(context, options, attempt)` makes the plan of `options`. The cloud itself restores and launches.
    """

    kind: JobKind
    options: Callable[[Connection], JobOptions]
    inputs: Callable[[], Mapping[str, str]]
    plan: Callable[[Context, JobOptions, int], LaunchPlan]
    how: LaunchOptions


def plan_and_launch(out: Out, flags: CloudFlags, wishes: LaunchWishes, maker: Maker, manifest: Path) -> None:
    """Do what a train command was asked for."""
    if wishes.apply is not None:
        if wishes.plan_only:
            raise UsageError("--plan and --apply exclude each other", hint="leave one of them out")
        _apply(out, flags, wishes, maker, wishes.apply)
    elif wishes.plan_only:
        _plan_only(out, flags, wishes, maker, manifest)
    else:
        _launch_now(out, flags, wishes, maker, manifest)


def _plan_only(out: Out, flags: CloudFlags, wishes: LaunchWishes, maker: Maker, manifest: Path) -> None:
    from cxr.cloud.connection import resolve
    from cxr.cloud.jobs.launching import next_attempt
    from cxr.cloud.plans.files import plan_document, write_plan

    settings = flags.settings()
    connection = resolve(settings)
    context = _context(settings, connection, manifest)
    plan = next_attempt(context.journal, maker.plan(context, maker.options(connection), 1), again=wishes.again)
    _show(out, plan)
    check_price_file(flags, wishes.max_cost)
    _check_cost(plan, wishes.max_cost)
    inputs = {"manifest": str(manifest.resolve()), **maker.inputs()}
    if wishes.save_to is not None:
        write_plan(plan, inputs, wishes.save_to)
        out.say(f"saved the plan to {wishes.save_to}")
        command = f"cxr cloud train {plan.kind} --apply {shlex.quote(str(wishes.save_to))}"
        out.hint(CloudFlags(state_dir=flags.state_dir, prices=flags.prices).command(command))
    out.result("cloud.plan", plan_document(plan, inputs))


def _launch_now(out: Out, flags: CloudFlags, wishes: LaunchWishes, maker: Maker, manifest: Path) -> None:
    from cxr.cloud.connection import resolve
    from cxr.cloud.jobs.attempts import latest_attempt

    settings = flags.settings()
    options = maker.options(resolve(settings))
    context = _context(settings, open_connection(settings, out), manifest)
    first = maker.plan(context, options, 1)
    plan = latest_attempt(context.connection, context.journal, first, again=wishes.again)
    _launch(out, flags, wishes, maker, context, plan, options)


def _apply(out: Out, flags: CloudFlags, wishes: LaunchWishes, maker: Maker, path: Path) -> None:
    from cxr.cloud.plans.files import check_same, read_plan

    saved = read_plan(path, maker.kind)
    settings = _settings_of(saved, flags.settings())
    manifest = saved.inputs.get("manifest")
    if not manifest:
        raise InputError(f"{path} does not say which manifest it is of", hint="make the plan anew")
    context = _context(settings, open_connection(settings, out), Path(manifest))
    weights = saved.inputs.get("weights") or str(saved.request.get("weights", "none"))
    options = context.connection.provider.restore(maker.kind, saved.request, weights)
    plan = maker.plan(context, options, saved.attempt)
    check_same(saved, plan)
    _launch(out, flags, wishes, maker, context, plan, options)


def _launch(
    out: Out,
    flags: CloudFlags,
    wishes: LaunchWishes,
    maker: Maker,
    context: Context,
    plan: LaunchPlan,
    options: JobOptions,
) -> None:
    _show(out, plan)
    check_price_file(flags, wishes.max_cost)
    _check_cost(plan, wishes.max_cost)
    known = context.journal.get(plan.job_id)
    if not (known and known.resource):
        check_launch(out, plan, context.manifest, manifest_path=context.manifest_path)
        out.confirm(f"Launch {plan.job_id}?", yes=wishes.yes)
    provider = context.connection.provider
    _report(out, flags, provider.launch(context.journal, plan, context.manifest, options, maker.how), plan)


def _context(settings: Settings, connection: Connection, manifest: Path) -> Context:
    from cxr.manifests.manifest_file import read_manifest

    prices = prices_at(connection.provider, settings)
    return Context(connection, read_manifest(manifest), manifest, prices, open_journal(settings))


def _settings_of(saved: SavedPlan, settings: Settings) -> Settings:
    where = saved.where
    try:
        return replace(
            settings,
            on=Target(where["on"]),
            project=where["project"],
            region=where["region"],
            bucket=where["bucket"],
            prefix=where["prefix"],
        )
    except (KeyError, ValueError) as error:
        raise InputError(f"{saved.path} does not say where: {error!r}", hint="make the plan anew") from error


def _show(out: Out, plan: LaunchPlan) -> None:
    from datetime import date

    from cxr.cloud.prices.table import age_in_days

    show_plan(out, plan.kind, plan.rows(), plan.notes)
    age = age_in_days(plan.cost.price, date.today())
    if plan.connection.billed and age > OLD_AFTER_DAYS:
        out.warn(
            f"the price was read {age} days ago, and prices move: look it up before a long job, and put it into a file "
            "(cxr cloud prices shows the form, --prices FILE takes it)"
        )


def _check_cost(plan: LaunchPlan, max_cost: float | None) -> None:
    if max_cost is None:
        return
    priced = plan.cost.price.region
    if priced not in {None, plan.connection.region}:
        raise NotAllowed(
            f"--max-cost {max_cost:g} cannot be kept: the price is that of {priced}, not of {plan.connection.region}",
            hint="put the region's own prices into a file: --prices FILE; see cxr cloud prices",
        )
    if plan.cost.worst_usd > max_cost:
        raise NotAllowed(
            f"this may cost {plan.cost.worst_usd:,.2f} USD, more than --max-cost {max_cost:g}",
            hint="a smaller budget, timeout, machine or number of trials; or a higher --max-cost",
        )


def _report(out: Out, flags: CloudFlags, launched: Launch, plan: LaunchPlan) -> None:
    job = launched.job
    if launched.fresh:
        out.say(f"launched {job.id}: {job.resource}")
    elif job.succeeded:
        out.say(f"this plan is already {job.id} ({job.state}); launch it anew with --again, as a new plan")
    elif job.finished:
        raise JobFailed(
            f"this plan was launched before, and {job.id} is {job.state}: {job.error or 'the service gave no reason'}",
            hint=f"a new plan is the next attempt: cxr cloud train {job.kind} --plan FILE",
        )
    else:
        out.say(f"this plan is already {job.id} ({job.state}); to launch it anew, end that: cxr cloud cancel {job.id}")
    out.hint(flags.follow_up(f"cxr cloud wait {job.id}"))
    result = {**plan.as_json(), "resource": job.resource, "state": job.state, "fresh": launched.fresh}
    out.result("cloud.launch", result)
