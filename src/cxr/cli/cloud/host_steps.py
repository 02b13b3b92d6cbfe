"""The steps of `cxr cloud host`: plan, show, ask, carry out, tell the address."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cxr.cli.cloud.common import CloudFlags, open_connection, show_plan
from cxr.cli.out import Out
from cxr.cloud.hosting.applying import Hosted, host_page, remove_page
from cxr.cloud.hosting.plan import DEFAULT_PREFIX, HostPlan, plan_page
from cxr.cloud.hosting.removal import RemovalPlan, plan_removal
from cxr.cloud.hosting.saved import check_same, read_saved, write_saved
from cxr.errors import UsageError
from cxr.settings import Settings
from cxr.webapp.kept import others_in

if TYPE_CHECKING:
    from cxr.cloud.hosting.host import Address, Host

#: Files in the page's folder that are not the page's, told by name.
_SHOWN: Final = 3
_HTTPS: Final = "working offline and the camera need https"


@dataclass(frozen=True, slots=True)
class HostWishes:
    """What the command line asks of a hosting."""

    page: Path | None
    public: bool
    remove: bool
    dry_run: bool
    plan: Path | None
    apply: Path | None
    yes: bool
    yes_public: str | None


def run_host(out: Out, flags: CloudFlags, wishes: HostWishes) -> None:
    """Raises what planning and carrying out raise; UsageError for flags that do not fit and what is not confirmed."""
    saved = _saved(flags, wishes)
    if saved is not None:
        where = saved["where"]
        flags = replace(flags, on=where["on"], bucket=where["bucket"], prefix=where["prefix"])
        flags = replace(flags, project=where.get("project") or flags.project)
        flags = replace(flags, region=saved["location"]) if saved.get("make_bucket") else flags
        page = Path(saved["page"]) if "page" in saved else None
        wishes = replace(wishes, page=page, public=bool(saved.get("public")), remove=saved["action"] == "remove")
    _check_wishes(wishes)
    host, prefix, region = open_host(flags, out)
    plan: HostPlan | RemovalPlan
    if wishes.remove:
        plan = plan_removal(host, prefix)
    else:
        assert wishes.page is not None
        plan = plan_page(host, wishes.page, prefix, region, public=wishes.public)
        _tell_others(wishes.page, out)
    if saved is not None and wishes.apply is not None:
        check_same(saved, wishes.apply, plan)
    title = f"remove the page at {host.url}/{prefix}" if wishes.remove else f"host {wishes.page}"
    show_plan(out, title, plan.rows())
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
    prefix = DEFAULT_PREFIX if flags.prefix is None else flags.prefix.strip("/")
    settings = replace(_settings(flags), prefix=prefix)
    connection = open_connection(settings, out)
    host = connection.provider.host(settings, connection)
    return host, f"{connection.prefix}/" if connection.prefix else "", connection.region


def _settings(flags: CloudFlags) -> Settings:
    """The settings; what cxr.toml or the environment say of another cloud's project and region is left out."""
    from cxr.cloud.providers import provider_of

    settings = flags.settings()
    provider, usual = provider_of(settings.on), provider_of(replace(flags, on=None).settings().on)
    if usual.name != provider.name:
        settings = replace(settings, project=flags.project)
    if flags.region is None and settings.region and not provider.is_region(settings.region):
        settings = replace(settings, region=None)
    return settings


def _saved(flags: CloudFlags, wishes: HostWishes) -> dict[str, Any] | None:
    if wishes.apply is None:
        return None
    if wishes.page or wishes.public or wishes.remove or wishes.plan:
        raise UsageError("--apply FILE stands alone: the saved plan says what is done", hint="add only --yes")
    saved = read_saved(wishes.apply)
    for name, value in saved["where"].items():
        given = getattr(flags, name, None)
        if given is not None and given.strip("/") != value.strip("/"):
            raise UsageError(f"{wishes.apply} is for {name} {value}, not {given}", hint=f"leave --{name} out")
    return saved


def _check_wishes(wishes: HostWishes) -> None:
    if wishes.remove and (wishes.page or wishes.public):
        raise UsageError("--remove takes no page and is never public", hint="cxr cloud host --remove --bucket NAME")
    if not wishes.remove and wishes.page is None:
        raise UsageError("no page is named", hint="cxr cloud host PAGE, made by: cxr web build BUNDLE PAGE")
    if wishes.yes_public is not None and not wishes.public:
        raise UsageError("--yes-public goes with --public", hint="add --public, or leave it out")


def _tell_others(page: Path, out: Out) -> None:
    others = others_in(page)
    if others:
        more = f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
        out.warn(f"no part of the page, and left out: {', '.join(others[:_SHOWN])}{more}")


def _host(out: Out, plan: HostPlan, wishes: HostWishes) -> None:
    if plan.nothing_to_do:
        out.say("nothing to do: the page is there")
        _tell_end(out, plan, Hosted(0, 0, plan.host.addresses(plan.prefix, "index.html") if plan.public else ()))
        return
    if plan.public:
        _confirm_public(out, plan, wishes)
    else:
        out.confirm(f"{_question(plan)}?", yes=wishes.yes)
    with out.progress("hosting") as advance:
        done = host_page(plan, on_progress=advance)
    out.say(f"sent {done.sent:,} files, deleted {done.deleted:,} of an older page")
    _tell_end(out, plan, done)


def _confirm_public(out: Out, plan: HostPlan, wishes: HostWishes) -> None:
    bucket = plan.host.identity()["bucket"]
    # Shown with --quiet, too: who confirms has to know what.
    said = "".join(f"\n  - {sentence}" for sentence in plan.exposure.sentences())
    out.warn(f"everybody on the internet will be able to read {plan.host.url}:{said}")
    if not wishes.yes:
        try:
            out.confirm_by_name(f"Type the bucket's name ({bucket}) to make this public:", bucket)
        except UsageError as error:
            error.hint = f"in scripts: --public --yes --yes-public {bucket}"
            raise
    elif wishes.yes_public != bucket:
        given = f"--yes-public says {wishes.yes_public}" if wishes.yes_public else "--yes alone makes nothing public"
        raise UsageError(f"{given}; the bucket is {bucket}", hint=f"--public --yes --yes-public {bucket}")


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
    out.say(f"{_HTTPS}. Research use, not a medical device.")


def _remove(out: Out, plan: RemovalPlan, wishes: HostWishes) -> None:
    out.confirm(f"Delete {len(plan.doomed):,} files of the page at {plan.host.url}/{plan.prefix}?", yes=wishes.yes)
    with out.progress("removing") as advance:
        gone = remove_page(plan, on_progress=advance)
    out.say(f"deleted {len(plan.doomed):,} files" + (f" and the empty bucket {plan.host.url}" if gone else ""))
    out.result("cloud.host", {**plan.as_json(), "done": True, "deleted": len(plan.doomed), "bucket_deleted": gone})
