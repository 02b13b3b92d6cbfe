"""A page on a machine of its own: planned, carried out, and undone.

The bucket stays private: the machine reads it with its own role. What is noted in the page's record (`server`): the
number of the machine, when it was asked for, and once that was answered its resource name. A launch without an answer
is asked again with its number for a while, so that the service finds the first; later a machine is found by its tag.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cxr.cloud.hosting.applying import RECORD_HEADERS, host_page, remove_page
from cxr.cloud.hosting.host import Host
from cxr.cloud.hosting.plan import HostPlan, plan_page, read_hosted
from cxr.cloud.hosting.record import RECORD
from cxr.cloud.hosting.removal import RemovalPlan, plan_removal
from cxr.cloud.hosting.served import server_files
from cxr.cloud.hosting.servers import HTTP_ONLY, PageServer, PageServers, ServerOptions, check_hours
from cxr.cloud.prices.table import HOURS_A_MONTH, Price
from cxr.errors import NotFound
from cxr.progress import Progress, silent

#: So long a launch that was not answered may still turn up.
_UNANSWERED: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """The page's files, and the machine: one that is `found` is kept, only its page is renewed and who may reach it."""

    page: HostPlan
    servers: PageServers
    options: ServerOptions
    found: PageServer | None
    price: Price
    told: tuple[tuple[str, str], ...]

    @property
    def changes_access(self) -> bool:
        """Whether others may reach it afterwards than now."""
        return self.found is None or self.found.networks != self.options.networks

    @property
    def nothing_to_do(self) -> bool:
        """Whether all is as it is to be."""
        return self.page.nothing_to_do and not self.changes_access

    @property
    def usd(self) -> float:
        """At most, for the hours of a machine that would be started."""
        return self.options.hours * self.price.usd_per_hour

    @property
    def seen_by(self) -> str:
        """Who may see it, in words."""
        return "EVERYBODY on the internet" if self.options.public else ", ".join(self.options.networks)

    def rows(self) -> list[tuple[str, str]]:
        """What a user reads before saying yes."""
        return [
            *self.page.rows(),
            *self._machine_rows(),
            ("who may see it", self.seen_by),
            ("address", HTTP_ONLY),
            ("machine's price", self._price_words()),
        ]

    def as_json(self) -> dict[str, Any]:
        """The plan for --json and for a plan file: all that must be the same when it is carried out."""
        server = {
            "machine": self.options.machine,
            "hours": self.options.hours,
            "networks": list(self.options.networks),
            "public": self.options.public,
            "region": self.servers.region,
            "found": self.found.resource if self.found else "",
        }
        return {**self.page.as_json(), "engine": self.servers.engine, "server": server}

    def _machine_rows(self) -> list[tuple[str, str]]:
        if self.found is None:
            ends = f"{self.options.hours:g} h after its start, whatever happens"
            return [("machine", f"{self.options.machine} (will be started)"), *self.told, ("ends itself", ends)]
        renewed = f"{self.found.machine} {self.found.id} is {self.found.state}: it fetches a new page within a minute"
        return [("machine", renewed), ("ends itself", f"{self.found.ends}, as it was started; to change: --remove")]

    def _price_words(self) -> str:
        price, hours = self.price, self.options.hours
        rate = f"{price.usd_per_hour:.4g} USD an hour with disk and address, read {price.read_on}"
        month = f"{HOURS_A_MONTH * price.usd_per_hour:,.2f} USD a month"
        cost = f"{month} while it runs ({rate})"
        if self.found is None:
            cost = f"at most {self.usd:,.2f} USD for {hours:g} h; {cost}"
        return cost if self.page.host.billed else f"nothing here; on the service {cost}"


@dataclass(frozen=True, slots=True)
class EndingPlan:
    """The machine with what lets others reach it, and the page's files; None for what is not there."""

    host: Host
    prefix: str
    servers: PageServers
    found: PageServer | None
    page: RemovalPlan | None

    def rows(self) -> list[tuple[str, str]]:
        """What a user reads before saying yes."""
        found = self.found
        machine = f"{found.machine} {found.id} ({found.state}) is ended" if found else "none runs"
        page = self.page.rows() if self.page else [("from", f"{self.host.url}/{self.prefix}: nothing is there")]
        return [*page, ("machine", f"{machine}; who may reach it is forgotten")]

    def as_json(self) -> dict[str, Any]:
        """The plan for --json and for a plan file."""
        where = {**self.host.identity(), "prefix": self.prefix}
        page = self.page.as_json() if self.page else {"action": "remove", "where": where, "location": "", "delete": []}
        server = {"region": self.servers.region, "found": self.found.resource if self.found else ""}
        return {**page, "engine": self.servers.engine, "server": server}


def plan_serving(
    host: Host, servers: PageServers, page: Path, prefix: str, region: str, options: ServerOptions
) -> ServingPlan:
    """Raises what plan_page raises, and UsageError for a machine that is not known, has no price, or no role."""
    check_hours(options.hours)
    price, told = servers.price(options.machine), tuple(servers.rows(options))
    plan = plan_page(host, page, prefix, region, public=False, beside=server_files)
    found = servers.find()
    if found is not None and found.machine != options.machine:
        price = servers.price(found.machine)
    return ServingPlan(plan, servers, options, found, price, told)


def serve_page(plan: ServingPlan, *, on_progress: Progress = silent) -> PageServer:
    """Send the page, let in who may see it, start the machine if there is none; the machine."""
    host_page(plan.page, on_progress=on_progress)
    if plan.changes_access:
        plan.servers.allow(plan.options.networks)
    if plan.found is not None:
        return replace(plan.found, networks=plan.options.networks)
    host, prefix, now = plan.page.host, plan.page.prefix, datetime.now(UTC)
    number = _number(plan.page.record.server, now)
    asked = {"number": number, "asked": now.isoformat(timespec="seconds")}
    _note(host, prefix, {**asked, "resource": ""})
    server = plan.servers.start(plan.options, number)
    _note(host, prefix, {**asked, "resource": server.resource, "machine": server.machine, "ends": server.ends})
    return server


def plan_ending(host: Host, servers: PageServers, prefix: str) -> EndingPlan:
    """Raises NotFound when there is neither a page nor a machine of it."""
    found = servers.find()
    try:
        page = plan_removal(host, prefix)
    except NotFound:
        if found is None and not servers.has_access_rules():
            raise
        page = None
    return EndingPlan(host, prefix, servers, found, page)


def end_serving(plan: EndingPlan, *, on_progress: Progress = silent) -> bool:
    """End the machine, then delete the page's files; whether the bucket is gone, too."""
    plan.servers.end(plan.found)
    return remove_page(plan.page, on_progress=on_progress) if plan.page else False


def _number(server: Any, now: datetime) -> int:
    """Of the next machine: that of a launch which may still turn up, else one more than the last."""
    if not server:
        return 1
    number = int(server.get("number", 0))
    waiting = not server.get("resource") and now - datetime.fromisoformat(server["asked"]) < _UNANSWERED
    return number if waiting else number + 1


def _note(host: Host, prefix: str, server: dict[str, Any]) -> None:
    """Into the page's record, which is there: the page was just sent."""
    stored = {one.name.removeprefix(prefix): one for one in host.objects(prefix + RECORD)}
    record = read_hosted(host, prefix, stored)
    data = replace(record, server=server).to_json()
    host.put(prefix + RECORD, data, RECORD_HEADERS, stored[RECORD].version)
