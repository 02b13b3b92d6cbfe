"""The bucket on Google: private, and open to Vertex AI's service agents.

Who reads: https://cloud.google.com/vertex-ai/docs/general/access-control#service-agents. What a role holds:
https://cloud.google.com/storage/docs/access-control/iam-roles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cxr.cloud.preflight.buckets import not_made
from cxr.cloud.preflight.findings import Finding, Level
from cxr.cloud.preflight.subject import Purpose
from cxr.cloud.vertex.preflight.refusals import reason_of
from cxr.cloud.vertex.preflight.survey import ProjectSurvey
from cxr.errors import NotAllowed

_VIEWER, _ADMIN = "roles/storage.objectViewer", "roles/storage.objectAdmin"
_WRITING: Final = frozenset({_ADMIN, "roles/storage.objectUser", "roles/storage.admin"})
_READING: Final = _WRITING | {_VIEWER}
_AGENT_ROLES: Final = frozenset({"roles/aiplatform.serviceAgent", "roles/aiplatform.customCodeServiceAgent"})
#: Where it holds what these hold, and more; of a project only.
_BROAD: Final = frozenset({"roles/owner", "roles/editor"})


@dataclass(frozen=True, slots=True)
class Agent:
    """A service agent: the domain of its address, what it does, and whether it has to write."""

    domain: str
    does: str
    writes: bool

    def member(self, project_number: str) -> str:
        """As in a policy."""
        return f"serviceAccount:service-{project_number}@{self.domain}.iam.gserviceaccount.com"


IMPORTER: Final = Agent("gcp-sa-aiplatform", "imports images and writes models", writes=False)
CONTAINER: Final = Agent("gcp-sa-aiplatform-cc", "is who the trainer in a container is", writes=True)


def is_private(survey: ProjectSurvey) -> Iterator[Finding]:
    """Public access is prevented and access is uniform: patients' images must not become public by an object's ACL."""
    bucket = survey.bucket
    url = f"gs://{bucket.name}"
    if bucket.location is None:
        yield not_made("bucket-private")
        return
    if not bucket.private:
        line = f"gcloud storage buckets update {url} --public-access-prevention"
        yield Finding(Level.WARNING, "bucket-private", "public access is not prevented", url, line)
    if not bucket.uniform:
        line = f"gcloud storage buckets update {url} --uniform-bucket-level-access"
        yield Finding(Level.WARNING, "bucket-private", "single objects can have access lists of their own", url, line)
    if bucket.private and bucket.uniform:
        yield Finding(Level.OK, "bucket-private", "public access prevented, uniform access")


def agents(survey: ProjectSurvey) -> Iterator[Finding]:
    """The service agents of the purpose have a role on the bucket, or in the project that it belongs to."""
    if survey.bucket.location is None:
        yield not_made("agents")
        return
    purpose = survey.subject.purpose
    for agent in (IMPORTER,) if purpose in {Purpose.AUTOML, Purpose.ANY} else (IMPORTER, CONTAINER):
        yield _access_of(survey, agent)


def _access_of(survey: ProjectSurvey, agent: Agent) -> Finding:
    number = survey.project_number
    member = agent.member(number)
    url = f"gs://{survey.connection.bucket}"
    address = member.removeprefix("serviceAccount:")
    role = _ADMIN if agent.writes else _VIEWER
    line = f"gcloud storage buckets add-iam-policy-binding {url} --member={member} --role={role}"
    enough = _WRITING if agent.writes else _READING
    unknown: list[str] = []
    try:
        if _is_granted(survey.bucket_policy, member, enough, unknown):
            return Finding(Level.OK, "agents", f"{address} has access to {url}")
    except NotAllowed as error:
        unknown.append(reason_of(error, survey.connection.project)[0])
    if survey.bucket.project_number not in {"", number}:
        # A role in this project does not reach into another one.
        level = Level.WARNING if unknown else Level.ERROR
        words = f"{address}, which {agent.does}, has no access to this bucket of another project{_because(unknown)}"
        return Finding(level, "agents", words, url, line)
    try:
        if _is_granted(survey.project_policy, member, enough | _AGENT_ROLES | _BROAD, unknown):
            return Finding(Level.OK, "agents", f"{address} has access to {url} by its role in the project")
    except NotAllowed as error:
        unknown.append(reason_of(error, survey.connection.project)[0])
    words = f"{address}, which {agent.does}, is not seen to have access{_because(unknown)}"
    return Finding(Level.WARNING, "agents", f"{words}; before the first job it may not have been made yet", url, line)


def _is_granted(bindings: Sequence[Mapping[str, Any]], member: str, roles: frozenset[str], unknown: list[str]) -> bool:
    granted = [binding for binding in bindings if member in binding["members"]]
    if any(binding["role"] in roles and not binding.get("condition") for binding in granted):
        return True
    unknown += [f"{one['role']} is conditional" for one in granted if one["role"] in roles]
    unknown += [f"what {one['role']} holds is not known" for one in granted if not one["role"].startswith("roles/")]
    return False


def _because(unknown: Sequence[str]) -> str:
    return f" ({'; '.join(dict.fromkeys(unknown))})" if unknown else ""
