"""What a table of causes is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind

#: Kinds of job that run the own trainer in a container.
CONTAINERS: Final = (JobKind.CUSTOM, JobKind.TUNE)


@dataclass(frozen=True, slots=True)
class Cause:
    """One line of a table. `pattern` is searched for in `CODE: message`, case aside; `words` and `next_step` may name
    {job}, {kind}, {machine}, {accelerator}, {region}, {project}, {bucket}, {status}, {limit}, {again} (the command that
    launches anew) and what the table's own facts name. `kinds`: for which kinds of job; empty for all. `show_log`: the
    last lines of the log say more."""

    name: str
    pattern: str
    words: str
    next_step: str
    kinds: tuple[JobKind, ...] = ()
    show_log: bool = False


@dataclass(frozen=True, slots=True)
class CauseTable:
    """A cloud's causes, the narrow ones first, and what of a message they can name beside a job's own facts."""

    causes: tuple[Cause, ...]
    facts: Callable[[Job], Mapping[str, str]]
