"""All checks in order: none stops the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from cxr.doctor.amazon_credentials import amazon_credentials
from cxr.doctor.clock import clock
from cxr.doctor.findings import Finding, Level
from cxr.doctor.google_credentials import google_credentials
from cxr.doctor.journal import journal
from cxr.doctor.machine import graphics, memory, processors
from cxr.doctor.page import page
from cxr.doctor.places import places
from cxr.doctor.programs import browser, node
from cxr.doctor.servers import servers
from cxr.doctor.service import service
from cxr.doctor.settings_file import settings_file
from cxr.doctor.subject import Subject
from cxr.doctor.versions import packages, program
from cxr.errors import CxrError, missing_package
from cxr.extras import EXTRA_OF

Check = Callable[[Subject], Iterator[Finding]]
CHECKS: Final[Sequence[Check]] = (
    program, packages, settings_file, google_credentials, amazon_credentials, service,
    browser, node, page, places, clock, processors, memory, graphics, journal, servers,
)  # fmt: skip


def examine(subject: Subject) -> list[Finding]:
    """The findings of every check; one that cannot be made is a problem, too."""
    return [finding for check in CHECKS for finding in _made(check, subject)]


def _made(check: Check, subject: Subject) -> list[Finding]:
    name = check.__name__.replace("_", " ")
    try:
        return list(check(subject))
    except CxrError as error:
        return [Finding(Level.PROBLEM, name, error.message, error.hint or "")]
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        missing = missing_package(package, EXTRA_OF.get(package, "all"))
        return [Finding(Level.PROBLEM, name, f"could not be looked at: {missing.message}", missing.hint or "")]
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return [Finding(Level.PROBLEM, name, f"could not be looked at: {where}{error.strerror or error}")]
