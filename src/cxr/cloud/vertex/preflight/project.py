"""Who asks, in which project, with which APIs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cxr.cloud.preflight.findings import Finding, Level
from cxr.cloud.preflight.subject import Purpose
from cxr.cloud.vertex.preflight.refusals import enable_line, is_forbidden, reason_of
from cxr.cloud.vertex.preflight.survey import VERTEX, ProjectSurvey
from cxr.errors import NotAllowed

STORAGE: Final = "storage.googleapis.com"
LOGGING: Final = "logging.googleapis.com"
_WITH_VERTEX: Final = (STORAGE, VERTEX)
#: API -> how bad it is to be without, by purpose.
NEEDED: Final[Mapping[Purpose, tuple[str, ...]]] = {
    Purpose.ANY: _WITH_VERTEX,
    Purpose.UPLOAD: (STORAGE,),
    Purpose.AUTOML: _WITH_VERTEX,
    Purpose.CUSTOM: _WITH_VERTEX,
    Purpose.TUNE: _WITH_VERTEX,
    Purpose.IMAGE: (STORAGE, "cloudbuild.googleapis.com", "artifactregistry.googleapis.com"),
}
#: Without it a job runs, and `cxr cloud logs` shows nothing.
WANTED: Final = frozenset({Purpose.ANY, Purpose.CUSTOM, Purpose.TUNE})


def credentials(survey: ProjectSurvey) -> Iterator[Finding]:
    """Application Default Credentials are there and give a token."""
    try:
        account = survey.account
    except NotAllowed as error:
        yield Finding(Level.ERROR, "credentials", error.message, next=error.hint or "", denied=True)
        return
    yield Finding(Level.OK, "credentials", account.words)


def exists(survey: ProjectSurvey) -> Iterator[Finding]:
    """The project exists and is not being deleted."""
    name = survey.connection.project
    try:
        project = survey.project
    except NotAllowed as error:
        if not is_forbidden(error):
            raise
        cause, following = reason_of(error, name)
        try:
            number = survey.project_number
        except NotAllowed:
            words = f"there is no project {name}, or this account may not see it: {cause}"
            yield Finding(Level.ERROR, "project", words, name, following, denied=True)
            return
        # Its state alone is not known.
        yield Finding(Level.WARNING, "project", f"its state cannot be checked: {cause}", f"{name}, {number}", following)
        return
    if project.state != "ACTIVE":
        undelete = f"gcloud projects undelete {name}"
        yield Finding(Level.ERROR, "project", f"the project is {project.state}", f"{name}, {project.number}", undelete)
        return
    yield Finding(Level.OK, "project", f"{name}, number {project.number}")


def apis(survey: ProjectSurvey) -> Iterator[Finding]:
    """The APIs that the purpose needs are enabled."""
    purpose, project = survey.subject.purpose, survey.connection.project
    needed = NEEDED[purpose]
    wanted = (LOGGING,) if purpose in WANTED else ()
    states = survey.services([*needed, *wanted])
    off = [name for name, is_enabled in states.items() if not is_enabled]
    for name in off:
        if name in wanted:
            words = f"{name} is not enabled: jobs run, and their logs are kept nowhere"
            yield Finding(Level.WARNING, "apis", words, project, enable_line(project, name))
        else:
            yield Finding(Level.ERROR, "apis", f"{name} is not enabled", project, enable_line(project, name))
    if not off:
        yield Finding(Level.OK, "apis", f"enabled: {', '.join(name.partition('.')[0] for name in states)}")
