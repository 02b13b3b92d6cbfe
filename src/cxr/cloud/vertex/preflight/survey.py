"""What is asked of Google for a check, each thing once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.preflight.subject import Subject
from cxr.cloud.preflight.survey import Survey
from cxr.cloud.vertex.preflight.accounts import Account, current_account
from cxr.cloud.vertex.preflight.clients import (
    REQUEST_TIMEOUT_S,
    project_client,
    quota_client,
    service_usage_client,
)
from cxr.errors import NotAllowed
from cxr.storage.buckets import bucket_policy
from cxr.storage.google.errors import google_errors
from cxr.storage.transfer.haul import Haul

VERTEX = "aiplatform.googleapis.com"


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """A project's number and state (ACTIVE, DELETE_REQUESTED, …)."""

    number: str
    state: str


class ProjectSurvey(Survey):
    """What is asked of Google, each thing once."""

    def __init__(self, connection: Connection, subject: Subject, haul: Haul) -> None:
        super().__init__(connection, subject, haul)
        self._services: dict[str, bool] = {}
        self._number = ""

    @cached_property
    def account(self) -> Account:
        """Who asks; one request for a token. Nobody in particular on the emulator."""
        return current_account(self.connection)

    @cached_property
    def project(self) -> ProjectFacts:
        """The project (resourcemanager.projects.get)."""
        with google_errors("look the project up"):
            found = project_client(self.connection, self.account).get_project(
                name=f"projects/{self.connection.project}", retry=None, timeout=REQUEST_TIMEOUT_S
            )
        self._number = str(found.name).removeprefix("projects/")
        return ProjectFacts(self._number, str(found.state.name))

    @property
    def project_number(self) -> str:
        """The project's number, from Resource Manager or, where that says nothing, from Service Usage."""
        if not self._number:
            try:
                return self.project.number
            except NotAllowed:
                self.services([VERTEX])
                if not self._number:
                    raise
        return self._number

    def services(self, names: Iterable[str]) -> Mapping[str, bool]:
        """Which of these APIs are enabled (serviceusage.services.get), in one request."""
        missing = [name for name in names if name not in self._services]
        if missing:
            parent = f"projects/{self.connection.project}"
            wanted = [f"{parent}/services/{name}" for name in missing]
            with google_errors("ask which APIs are enabled"):
                found = service_usage_client(self.connection, self.account).batch_get_services(
                    request={"parent": parent, "names": wanted}, retry=None, timeout=REQUEST_TIMEOUT_S
                )
            for service in found.services:
                owner, _, name = str(service.name).partition("/services/")
                self._services[name] = service.state.name == "ENABLED"
                self._number = owner.removeprefix("projects/")
        return {name: self._services.get(name, False) for name in names}

    @cached_property
    def bucket_policy(self) -> list[dict[str, Any]]:
        """The bindings of the bucket's policy (storage.buckets.getIamPolicy): role, members, perhaps a condition."""
        where = self.connection
        return bucket_policy(where.bucket, endpoint=where.endpoint, project=where.project)

    @cached_property
    def project_policy(self) -> list[dict[str, Any]]:
        """The bindings of the project's policy (resourcemanager.projects.getIamPolicy)."""
        with google_errors("read the project's access policy"):
            request = {"resource": f"projects/{self.connection.project}", "options": {"requested_policy_version": 3}}
            policy = project_client(self.connection, self.account).get_iam_policy(
                request=request, retry=None, timeout=REQUEST_TIMEOUT_S
            )
        return [
            {"role": one.role, "members": set(one.members), "condition": one.condition.expression or None}
            for one in policy.bindings
        ]

    def quota(self, quota_id: str) -> int | None:
        """A Vertex AI quota in the region (cloudquotas.quotas.get): -1 for no limit, None where none is stated. Raises
        NotFound when there is no such quota."""
        where = self.connection
        name = f"projects/{where.project}/locations/global/services/{VERTEX}/quotaInfos/{quota_id}"
        with google_errors(f"ask for the quota {quota_id}"):
            info = quota_client(where, self.account).get_quota_info(name=name, retry=None, timeout=REQUEST_TIMEOUT_S)
        of_region = [one for one in info.dimensions_infos if one.dimensions.get("region") == where.region]
        of_all = [one for one in info.dimensions_infos if where.region in one.applicable_locations]
        return next((int(one.details.value) for one in [*of_region, *of_all]), None)
