"""All checks in order: none stops the others, and one whose prerequisite failed is said to be skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from cxr.cloud.connection import Connection
from cxr.cloud.preflight.findings import Finding, Level
from cxr.cloud.preflight.subject import TRAININGS, Purpose, Subject
from cxr.cloud.preflight.survey import Survey
from cxr.errors import CxrError, Interrupted
from cxr.progress import Progress, silent
from cxr.storage.transfer.haul import Haul, HaulOptions

#: For how long a service that does not answer is asked again: a check is soon repeated.
PATIENCE_S: Final = 3.0

EVERY = frozenset(Purpose)
WITH_JOBS = TRAININGS | {Purpose.ANY}
ON_MACHINES = frozenset({Purpose.CUSTOM, Purpose.TUNE})


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what it is made for, what must have gone well before, and how it is made, given the cloud's survey.

    What an `essential` check cannot find out is an error, what another cannot is a warning. A launch repeats what is
    not `quick` by itself.
    """

    id: str
    made: Callable[[Any], Iterator[Finding]]
    purposes: frozenset[Purpose] = EVERY
    needs: tuple[str, ...] = ()
    essential: bool = False
    quick: bool = True


def preflight(
    connection: Connection,
    subject: Subject,
    *,
    quick: bool = False,
    haul: Haul | None = None,
    on_check: Progress = silent,
) -> list[Finding]:
    """Make the checks of a purpose, `quick` only those that the command itself does not repeat. A service that refuses
    or does not answer is a finding, too; only Interrupted is raised. `on_check` is told (done, of, which)."""
    provider = connection.provider
    survey = provider.survey(connection, subject, haul or Haul(HaulOptions(retry_s=PATIENCE_S)))
    wanted = [check for check in provider.checks() if subject.purpose in check.purposes and (check.quick or not quick)]
    findings: list[Finding] = []
    failed: set[str] = set()
    for number, check in enumerate(wanted):
        on_check(number, len(wanted), check.id)
        found = _made(check, survey, failed)
        if any(finding.level in {Level.ERROR, Level.SKIPPED} for finding in found):
            failed.add(check.id)
        findings += found
    on_check(len(wanted), len(wanted), "")
    return findings


def _made(check: Check, survey: Survey, failed: set[str]) -> list[Finding]:
    missing = [need for need in check.needs if need in failed]
    if missing:
        return [Finding(Level.SKIPPED, check.id, f"not looked at: it needs {' and '.join(missing)}")]
    found: list[Finding] = []
    try:
        found.extend(check.made(survey))
    except Interrupted:
        raise
    except CxrError as error:
        where = survey.connection
        found.append(where.provider.finding_of(check.id, error, where, essential=check.essential))
    return found
