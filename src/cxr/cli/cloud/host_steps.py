"""The steps of `cxr cloud host`: plan, show, ask, carry out, tell the address."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from cxr.about import RESEARCH_USE
from cxr.cli.cloud.common import CloudFlags, show_plan
from cxr.cli.cloud.host_common import HostWishes, check_wishes, confirm_public, connect_host, restored, tell_others
from cxr.cli.cloud.host_machine_steps import run_machine
from cxr.cli.out import Out
from cxr.cloud.hosting.applying import Hosted, host_page, remove_page
from cxr.cloud.hosting.plan import HostPlan, plan_page
from cxr.cloud.hosting.removal import RemovalPlan, plan_removal
from cxr.cloud.hosting.saved import check_same, write_saved

if TYPE_CHECKING:
    from cxr.cloud.hosting.host import Address, Host

_HTTPS: Final = "working offline and the camera need https"


def run_host(out: Out, flags: CloudFlags, wishes: HostWishes) -> None:
    """Raises what planning and carrying out raise; UsageError for flags that do not fit and what is not confirmed."""
    saved, flags, wishes = restored(flags, wishes)
    check_wishes(wishes)
    if wishes.server.engine is not None:
        run_machine(out, flags, wishes, saved)
        return
    host, prefix, region = open_host(flags, out)
    plan: HostPlan | RemovalPlan
    if wishes.remove:
        plan = plan_removal(host, prefix)
    else:
        assert wishes.page is not None
        plan = plan_page(host, wishes.page, prefix, region, public=wishes.public)
        tell_others(wishes.page, out)
    if saved is not None and wishes.apply is not None:
        check_same(saved, wishes.apply, plan)
    title = f"remove the page at {host.url}/{prefix}" if wishes.remove else f"host {wishes.page}"
    show_plan(out, title, plan.rows())
    _tell_machine(out, plan)
    if wishes.plan is not None:
        write_saved(plan, wishes.plan)
        out.say("saved; nothing was done")
        out.hint(f"cxr cloud host --apply {shlex.quote(str(wishes.plan))}")
    if wishes.plan is not None or wishes.dry_run:
        out.result("cloud.host", {**plan.as_json(), "done": False})
    elif isinstance(plan, RemovalPlan):
        _remove(out, plan, wishes)
    else:
        _host(out, plan, wishes)


def open_host(flags: CloudFlags, out: Out) -> tuple[Host, str, str]:
    """The bucket, the prefix in it ("" or with a slash at its end) and the region of a bucket that has to be made.

    Raises UsageError for names that are illegal or missing.
    """
    host, connection, _ = connect_host(flags, out)
    return host, f"{connection.prefix}/" if connection.prefix else "", connection.region


def _tell_machine(out: Out, plan: HostPlan | RemovalPlan) -> None:
    if plan.record.server is not None:
        ends = plan.record.server.get("ends", "")
        out.warn(
            f"a machine was started that serves this page{f' until {ends}' if ends else ''}: it goes on with what it "
            "has; say --engine ec2 to renew its page, or with --remove to end it"
        )


def _host(out: Out, plan: HostPlan, wishes: HostWishes) -> None:
    if plan.nothing_to_do:
        out.say("nothing to do: the page is there")
        _tell_end(out, plan, Hosted(0, 0, plan.host.addresses(plan.prefix, "index.html") if plan.public else ()))
        return
    if plan.public:
        confirm_public(out, plan.host, plan.exposure.sentences(), wishes)
    else:
        out.confirm(f"{_question(plan)}?", yes=wishes.yes)
    with out.progress("hosting") as advance:
        done = host_page(plan, on_progress=advance)
    out.say(f"sent {done.sent:,} files, deleted {done.deleted:,} of an older page")
    _tell_end(out, plan, done)


def _question(plan: HostPlan) -> str:
    asked = []
    if plan.make_bucket:
        asked.append(f"make the private bucket {plan.host.url} in {plan.region}")
    if plan.sending:
        asked.append(f"send {len(plan.sending):,} files to {plan.host.url}/{plan.prefix}")
    if plan.stale:
        asked.append(f"DELETE {len(plan.stale):,} files of an older page")
    words = ", ".join(asked)
    return words[0].upper() + words[1:]


def _tell_end(out: Out, plan: HostPlan, done: Hosted) -> None:
    payload = {
        **plan.as_json(),
        "done": True,
        "sent": done.sent,
        "deleted": done.deleted,
        "addresses": [asdict(address) for address in done.addresses],
        "price": asdict(plan.price),
    }
    out.result("cloud.host", payload)
    if done.addresses:
        _tell_addresses(out, done.addresses)
        return
    out.say(f"the page is private: nobody sees it without access to {plan.host.url}")
    fetch = plan.host.fetch_command(plan.prefix, "page-copy")
    if fetch:
        out.say(f"to look at it from elsewhere, bring it home: mkdir page-copy && {fetch} && cxr web serve page-copy")
    out.hint(f"cxr web serve {shlex.quote(str(plan.page))}, or --public for everybody")


def _tell_addresses(out: Out, addresses: Sequence[Address]) -> None:
    out.text(addresses[0].url)
    for address in addresses:
        out.say(f"{address.url} ({address.note})")
    out.say(f"{_HTTPS}. {RESEARCH_USE}.")


def _remove(out: Out, plan: RemovalPlan, wishes: HostWishes) -> None:
    out.confirm(f"Delete {len(plan.doomed):,} files of the page at {plan.host.url}/{plan.prefix}?", yes=wishes.yes)
    with out.progress("removing") as advance:
        gone = remove_page(plan, on_progress=advance)
    out.say(f"deleted {len(plan.doomed):,} files" + (f" and the empty bucket {plan.host.url}" if gone else ""))
    out.result("cloud.host", {**plan.as_json(), "done": True, "deleted": len(plan.doomed), "bucket_deleted": gone})
