"""What hosting in a bucket and serving from a machine have in common: what is asked for, where, and confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cxr.cli.cloud.common import CloudFlags, open_connection
from cxr.cli.out import Out
from cxr.cloud.hosting.plan import DEFAULT_PREFIX
from cxr.cloud.hosting.saved import read_saved
from cxr.errors import UsageError
from cxr.settings import Settings
from cxr.webapp.kept import others_in

if TYPE_CHECKING:
    from cxr.cloud.connection import Connection
    from cxr.cloud.hosting.host import Host

#: Files in the page's folder that are not the page's, told by name.
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class MachineWishes:
    """What the command line asks of a machine that serves the page; without an engine there is none."""

    engine: str | None = None
    machine: str | None = None
    hours: float | None = None
    allow: tuple[str, ...] = ()


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
    server: MachineWishes = MachineWishes()


def restored(flags: CloudFlags, wishes: HostWishes) -> tuple[dict[str, Any] | None, CloudFlags, HostWishes]:
    """The saved plan of --apply, with the flags and wishes that it was made with; None and the same without one."""
    saved = _saved(flags, wishes)
    if saved is None:
        return None, flags, wishes
    where, server = saved["where"], saved.get("server") or {}
    flags = replace(flags, on=where["on"], bucket=where["bucket"], prefix=where["prefix"])
    flags = replace(flags, project=where.get("project") or flags.project)
    region = server.get("region") or (saved["location"] if saved.get("make_bucket") else None)
    flags = replace(flags, region=region) if region else flags
    public = bool(server.get("public") or saved.get("public"))
    page = Path(saved["page"]) if "page" in saved else None
    allow = tuple(server.get("networks", ()))
    machine = MachineWishes(saved.get("engine"), server.get("machine"), server.get("hours"), allow)
    wishes = replace(wishes, page=page, public=public, remove=saved["action"] == "remove", server=machine)
    return saved, flags, wishes


def check_wishes(wishes: HostWishes) -> None:
    """Raises UsageError for flags that do not fit."""
    if wishes.remove and (wishes.page or wishes.public):
        raise UsageError("--remove takes no page and is never public", hint="cxr cloud host --remove --bucket NAME")
    if not wishes.remove and wishes.page is None:
        raise UsageError("no page is named", hint="cxr cloud host PAGE, made by: cxr web build BUNDLE PAGE")
    if wishes.yes_public is not None and not wishes.public:
        raise UsageError("--yes-public goes with --public", hint="add --public, or leave it out")
    server = wishes.server
    given = [f"--{name}" for name in ("machine", "hours", "allow") if getattr(server, name) not in (None, ())]
    if given and server.engine is None:
        raise UsageError(f"{given[0]} is of a machine that serves the page", hint="add --engine ec2")
    if given and wishes.remove and wishes.apply is None:
        raise UsageError(f"{given[0]} says nothing to --remove", hint="cxr cloud host --remove --engine ec2")


def connect_host(flags: CloudFlags, out: Out) -> tuple[Host, Connection, Settings]:
    """The bucket and the connection whose prefix is the page's. Raises UsageError for names that are illegal or
    missing."""
    prefix = DEFAULT_PREFIX if flags.prefix is None else flags.prefix.strip("/")
    settings = replace(settings_of(flags), prefix=prefix)
    connection = open_connection(settings, out)
    return connection.provider.host(settings, connection), connection, settings


def settings_of(flags: CloudFlags) -> Settings:
    """The settings; what cxr.toml or the environment say of another cloud's project and region is left out."""
    from cxr.cloud.providers import provider_of

    settings = flags.settings()
    provider, usual = provider_of(settings.on), provider_of(replace(flags, on=None).settings().on)
    if usual.name != provider.name:
        settings = replace(settings, project=flags.project)
    if flags.region is None and settings.region and not provider.is_region(settings.region):
        settings = replace(settings, region=None)
    return settings


def tell_others(page: Path, out: Out) -> None:
    """Warn of files that lie in a page's folder and are not sent."""
    others = others_in(page)
    if others:
        more = f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
        out.warn(f"no part of the page, and left out: {', '.join(others[:_SHOWN])}{more}")


def confirm_public(out: Out, host: Host, sentences: Sequence[str], wishes: HostWishes) -> None:
    """Go on only when the bucket's name is typed, or said with --yes-public. Raises UsageError."""
    bucket = host.identity()["bucket"]
    # Shown with --quiet, too: who confirms has to know what.
    said = "".join(f"\n  - {sentence}" for sentence in sentences)
    what = host.url if wishes.server.engine is None else f"the page of {host.url}"
    out.warn(f"everybody on the internet will be able to read {what}:{said}")
    if not wishes.yes:
        try:
            out.confirm_by_name(f"Type the bucket's name ({bucket}) to make this public:", bucket)
        except UsageError as error:
            error.hint = f"in scripts: --public --yes --yes-public {bucket}"
            raise
    elif wishes.yes_public != bucket:
        given = f"--yes-public says {wishes.yes_public}" if wishes.yes_public else "--yes alone makes nothing public"
        raise UsageError(f"{given}; the bucket is {bucket}", hint=f"--public --yes --yes-public {bucket}")


def _saved(flags: CloudFlags, wishes: HostWishes) -> dict[str, Any] | None:
    if wishes.apply is None:
        return None
    if wishes.page or wishes.public or wishes.remove or wishes.plan or wishes.server != MachineWishes():
        raise UsageError("--apply FILE stands alone: the saved plan says what is done", hint="add only --yes")
    saved = read_saved(wishes.apply)
    for name, value in saved["where"].items():
        given = getattr(flags, name, None)
        if given is not None and given.strip("/") != value.strip("/"):
            raise UsageError(f"{wishes.apply} is for {name} {value}, not {given}", hint=f"leave --{name} out")
    return saved
