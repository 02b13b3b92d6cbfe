"""The steps of `cxr cloud host --engine ec2`: a page in a private bucket, served by a machine that ends by itself."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cxr.about import RESEARCH_USE
from cxr.cli.cloud.common import CloudFlags, prices_at, show_plan
from cxr.cli.cloud.host_common import HostWishes, confirm_public, connect_host, settings_of, tell_others
from cxr.cli.out import Out
from cxr.cloud.hosting.access import networks_of
from cxr.cloud.hosting.machine import EndingPlan, ServingPlan, end_serving, plan_ending, plan_serving, serve_page
from cxr.cloud.hosting.saved import check_same, write_saved
from cxr.cloud.hosting.servers import DEFAULT_HOURS, HTTP_ONLY, PageServer, PageServers, ServerOptions, check_hours
from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.cloud.hosting.host import Host


def run_machine(out: Out, flags: CloudFlags, wishes: HostWishes, saved: dict[str, Any] | None) -> None:
    """Raises what planning and carrying out raise; UsageError for flags that do not fit and what is not confirmed."""
    _check_offered(flags)
    networks = () if wishes.remove else networks_of(wishes.server.allow, public=wishes.public)
    check_hours(_hours(wishes))
    host, servers, prefix = _open(flags, wishes, out)
    plan: ServingPlan | EndingPlan
    if wishes.page is None:
        plan = plan_ending(host, servers, prefix)
    else:
        options = ServerOptions(
            wishes.server.machine or servers.usual_machine, _hours(wishes), networks, public=wishes.public
        )
        plan = plan_serving(host, servers, wishes.page, prefix, servers.region, options)
        tell_others(wishes.page, out)
    if saved is not None and wishes.apply is not None:
        check_same(saved, wishes.apply, plan)
    title = f"serve {wishes.page}" if wishes.page else f"remove the page at {host.url}/{prefix} and its machine"
    show_plan(out, title, plan.rows())
    if wishes.plan is not None:
        write_saved(plan, wishes.plan)
        out.say("saved; nothing was done")
        out.hint(f"cxr cloud host --apply {shlex.quote(str(wishes.plan))}")
    if wishes.plan is not None or wishes.dry_run:
        out.result("cloud.host", {**plan.as_json(), "done": False})
    elif isinstance(plan, EndingPlan):
        _end(out, plan, wishes)
    else:
        _serve(out, plan, flags, wishes)


def _check_offered(flags: CloudFlags) -> None:
    from cxr.cloud.provider import Feature, check_offered
    from cxr.cloud.providers import provider_of

    check_offered(provider_of(settings_of(flags).on), Feature.PAGE_SERVERS)


def _hours(wishes: HostWishes) -> float:
    return DEFAULT_HOURS if wishes.server.hours is None else wishes.server.hours


def _open(flags: CloudFlags, wishes: HostWishes, out: Out) -> tuple[Host, PageServers, str]:
    host, connection, settings = connect_host(flags, out)
    servers = connection.provider.page_servers(connection, prices_at(connection.provider, settings))
    if wishes.server.engine != servers.engine:
        raise UsageError(f"no page is served by the engine {wishes.server.engine!r}", hint=f"--engine {servers.engine}")
    return host, servers, f"{connection.prefix}/" if connection.prefix else ""


def _serve(out: Out, plan: ServingPlan, flags: CloudFlags, wishes: HostWishes) -> None:
    if plan.nothing_to_do and plan.found is not None:
        out.say("nothing to do: the page is there, and its machine")
        _tell_end(out, plan, plan.found, flags)
        return
    if plan.options.public:
        confirm_public(out, plan.page.host, plan.page.exposure.sentences(), wishes)
    else:
        out.confirm(f"{_question(plan)}?", yes=wishes.yes)
    with out.progress("sending the page") as advance:
        server = serve_page(plan, on_progress=advance)
    out.say(f"sent {len(plan.page.sending):,} files, deleted {len(plan.page.stale):,} of an older page")
    _tell_end(out, plan, server, flags)


def _question(plan: ServingPlan) -> str:
    asked = []
    if plan.page.make_bucket:
        asked.append(f"make the private bucket {plan.page.host.url} in {plan.page.region}")
    if plan.page.sending:
        asked.append(f"send {len(plan.page.sending):,} files to {plan.page.host.url}/{plan.page.prefix}")
    if plan.page.stale:
        asked.append(f"DELETE {len(plan.page.stale):,} files of an older page")
    if plan.found is None:
        asked.append(f"start a {plan.options.machine} for {plan.options.hours:g} h")
    if plan.changes_access:
        asked.append(f"let in {plan.seen_by}")
    words = ", ".join(asked)
    return words[0].upper() + words[1:]


def _tell_end(out: Out, plan: ServingPlan, server: PageServer, flags: CloudFlags) -> None:
    url = f"http://{server.address}/" if server.address else ""
    out.result(
        "cloud.host",
        {
            **plan.as_json(),
            "done": True,
            "sent": len(plan.page.sending),
            "deleted": len(plan.page.stale),
            "started": plan.found is None,
            "machine": asdict(server),
            "address": url,
            "usd_per_hour": plan.price.usd_per_hour,
        },
    )
    if url:
        out.text(url)
        out.say(f"{url} is seen from {', '.join(server.networks)}, some minutes from now; {HTTP_ONLY}")
    else:
        out.warn(f"{server.id} has no address on the internet: the default VPC's network gives it none")
    out.say(f"its machine {server.id} ends by itself at {server.ends}. {RESEARCH_USE}.")
    if not plan.page.host.billed:
        out.say("here no machine runs: moto has only written it down")
    out.hint(f"to end it: {flags.command('cxr cloud host --remove --engine ' + plan.servers.engine)}")


def _end(out: Out, plan: EndingPlan, wishes: HostWishes) -> None:
    asked = [f"end the machine {plan.found.id}"] if plan.found else []
    if plan.page:
        asked.append(f"delete {len(plan.page.doomed):,} files of the page at {plan.host.url}/{plan.prefix}")
    words = " and ".join(asked) or "forget who may reach the page's machine"
    out.confirm(f"{words[0].upper()}{words[1:]}?", yes=wishes.yes)
    out.say("ending the machine takes a minute or two")
    with out.progress("removing") as advance:
        gone = end_serving(plan, on_progress=advance)
    deleted = len(plan.page.doomed) if plan.page else 0
    out.say(f"deleted {deleted:,} files" + (f" and the empty bucket {plan.host.url}" if gone else ""))
    done = {
        "done": True,
        "deleted": deleted,
        "bucket_deleted": gone,
        "ended": plan.found.resource if plan.found else "",
    }
    out.result("cloud.host", {**plan.as_json(), **done})
