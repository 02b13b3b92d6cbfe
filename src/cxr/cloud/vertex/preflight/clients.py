"""Google's clients for the small APIs around a project, on Google or pointed at the emulator."""

from __future__ import annotations

import importlib
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.vertex.preflight.accounts import Account, account_of, default_credentials
from cxr.errors import missing_package
from cxr.storage.google.credentials import local_credentials
from cxr.storage.google.errors import google_errors

#: Seconds for one question.
REQUEST_TIMEOUT_S = 20.0


def project_client(connection: Connection, account: Account | None = None) -> Any:
    """google.cloud.resourcemanager_v3.ProjectsClient."""
    return _client("google.cloud.resourcemanager_v3", "ProjectsClient", connection, account)


def service_usage_client(connection: Connection, account: Account | None = None) -> Any:
    """google.cloud.service_usage_v1.ServiceUsageClient."""
    return _client("google.cloud.service_usage_v1", "ServiceUsageClient", connection, account)


def quota_client(connection: Connection, account: Account | None = None) -> Any:
    """google.cloud.cloudquotas_v1.CloudQuotasClient."""
    return _client("google.cloud.cloudquotas_v1", "CloudQuotasClient", connection, account)


def build_client(connection: Connection) -> Any:
    """google.cloud.devtools.cloudbuild_v1.CloudBuildClient. Raises NotAllowed without credentials."""
    account = None if connection.endpoint else account_of(default_credentials())
    return _client("google.cloud.devtools.cloudbuild_v1", "CloudBuildClient", connection, account)


_PACKAGES = {
    "google.cloud.resourcemanager_v3": "google-cloud-resource-manager",
    "google.cloud.service_usage_v1": "google-cloud-service-usage",
    "google.cloud.cloudquotas_v1": "google-cloud-quotas",
    "google.cloud.devtools.cloudbuild_v1": "google-cloud-build",
}


def _client(module: str, name: str, connection: Connection, account: Account | None) -> Any:
    try:
        from google.api_core.client_options import ClientOptions

        kind = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise missing_package(_PACKAGES[module], "gcp") from error
    with google_errors(f"open {_PACKAGES[module]}"):
        return kind(
            credentials=_credentials(connection, account),
            transport="rest",
            client_options=ClientOptions(api_endpoint=connection.endpoint),
        )


def _credentials(connection: Connection, account: Account | None) -> Any:
    """None: the client finds the default ones by itself."""
    if connection.endpoint:
        return local_credentials()
    if account is None or not account.needs_quota_project:
        return None
    # A user's credentials belong to no project: these APIs ask which one's quota a request counts against. The client's
    # own option for it, quota_project_id, is lost between client and REST transport.
    return default_credentials().with_quota_project(connection.project)
