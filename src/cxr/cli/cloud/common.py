"""What the cloud commands share: resolving settings, showing a plan, the journal, hints that keep the given flags."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.cli.out import Out
from cxr.errors import CxrError, NotAllowed
from cxr.settings import Settings, load_settings

if TYPE_CHECKING:
    from cxr.cloud.connection import Connection
    from cxr.cloud.jobs.journal import Job, Journal
    from cxr.cloud.prices.table import PriceTable
    from cxr.cloud.provider import Provider
    from cxr.storage import Listing

#: A command on a job inside a sentence: up to a comma, a semicolon or the end.
_JOB_COMMAND = re.compile(r"cxr cloud (?:evaluate|export|status|wait|logs|jobs)(?: [^\s,;]+)*")


@dataclass(frozen=True, slots=True)
class CloudFlags:
    """The flags that say where a command works, as given on this command line (None: not given)."""

    on: str | None = None
    project: str | None = None
    region: str | None = None
    bucket: str | None = None
    prefix: str | None = None
    state_dir: Path | None = None
    prices: str | None = None

    def settings(self) -> Settings:
        """cxr.toml, then the environment, then these flags."""
        return load_settings({name: getattr(self, name) for name in self.__slots__})

    def command(self, command: str) -> str:
        """`command` with the flags of this command line, so that a hint works where this command worked."""
        given = [(name, getattr(self, name)) for name in self.__slots__]
        flags = [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given if value is not None]
        return " ".join([command, *flags])

    def follow_up(self, command: str) -> str:
        """`command`, which works on a job, with the only flag that such commands take."""
        return CloudFlags(state_dir=self.state_dir).command(command)


@contextmanager
def hints_for(flags: CloudFlags) -> Iterator[None]:
    """Commands on jobs in the hints of errors raised inside get the flag with which they work where this one did."""
    try:
        yield
    except CxrError as error:
        if error.hint and "--state-dir" not in error.hint:
            error.hint = _JOB_COMMAND.sub(lambda found: flags.follow_up(found.group()), error.hint)
        raise


def check_price_file(flags: CloudFlags, max_cost: float | None) -> None:
    """Raises NotAllowed when --max-cost would be kept by prices out of a file that nobody but cxr.toml names: it may
    have come with the folder, and say that a machine costs nothing."""
    if max_cost is None or flags.prices or os.environ.get("CXR_PRICES"):
        return
    if prices := flags.settings().prices:
        raise NotAllowed(
            f"--max-cost {max_cost:g} cannot be kept by the prices in {prices}, which only cxr.toml names",
            hint=f"read them, then name them yourself: --prices {shlex.quote(prices)}",
        )


def prices_at(provider: Provider, settings: Settings) -> PriceTable:
    """What a cloud charges, with the entries of the user's own file in place of its own. Raises InputError for a file
    that is not there or is not of the form."""
    from cxr.cloud.prices.table import price_table

    return price_table(Path(settings.prices) if settings.prices else None, provider.prices)


def open_connection(settings: Settings, out: Out) -> Connection:
    """Connect, saying so when a server of this machine has to be started first."""
    from cxr.cloud.connection import connect
    from cxr.cloud.providers import provider_of

    if starting := provider_of(settings.on).will_start(settings):
        out.say(starting)
    return connect(settings)


def open_place(url: str, flags: CloudFlags, out: Out) -> Listing:
    """The place at `url`: one of the cloud where `cxr cloud` works is there; others are where their SDKs are pointed,
    and so is that one when its SDK is pointed to a server (STORAGE_EMULATOR_HOST) and --on says nothing."""
    from cxr.cloud.providers import provider_of
    from cxr.storage import open_listing, open_store

    settings = flags.settings()
    scheme, _, rest = url.partition("://")
    provider = provider_of(settings.on)
    if scheme != provider.scheme:
        return open_listing(url)
    if flags.on is None and provider.is_pointed_elsewhere:
        return open_store(url, project=flags.project)
    connection = open_connection(replace(settings, bucket=rest.split("/")[0]), out)
    return open_store(url, **connection.provider.store_place(connection))


def open_journal(settings: Settings) -> Journal:
    """The journal of this working folder; what in it cannot be read is told."""
    from cxr.cloud.jobs.journal import Journal

    journal = Journal(settings.journal_path)
    for problem in journal.problems:
        Out().warn(problem)
    return journal


def connection_of(job: Job, settings: Settings, out: Out) -> Connection:
    """The place where a job was launched, whatever the settings say now."""
    there = replace(settings, on=job.on, project=job.project, region=job.region, bucket=job.bucket, prefix=job.prefix)
    return open_connection(there, out)


def show_plan(out: Out, title: str, rows: Sequence[tuple[str, str]], notes: Sequence[str] = ()) -> None:
    """A plan as a table; notes go to stderr."""
    out.table(("plan", title), rows)
    for note in notes:
        out.say(f"note: {note}")
