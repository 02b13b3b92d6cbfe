"""Vertex AI's own service clients, on Google or pointed at the emulator: nothing else differs between the two."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cxr.cloud.connection import Connection
from cxr.errors import missing_package

#: Seconds for one request. Long-running work is polled, never waited for inside one.
REQUEST_TIMEOUT_S = 60.0


def dataset_client(connection: Connection) -> Any:
    """google.cloud.aiplatform_v1.DatasetServiceClient."""
    return _client("DatasetServiceClient", connection)


def pipeline_client(connection: Connection) -> Any:
    """google.cloud.aiplatform_v1.PipelineServiceClient."""
    return _client("PipelineServiceClient", connection)


def job_client(connection: Connection) -> Any:
    """google.cloud.aiplatform_v1.JobServiceClient."""
    return _client("JobServiceClient", connection)


def model_client(connection: Connection) -> Any:
    """google.cloud.aiplatform_v1.ModelServiceClient."""
    return _client("ModelServiceClient", connection)


def endpoint_client(connection: Connection) -> Any:
    """google.cloud.aiplatform_v1.EndpointServiceClient."""
    return _client("EndpointServiceClient", connection)


def prediction_client(connection: Connection) -> Any:
    """google.cloud.aiplatform_v1.PredictionServiceClient."""
    return _client("PredictionServiceClient", connection)


@lru_cache(maxsize=32)
def _client(name: str, connection: Connection) -> Any:
    # The SDK takes seconds to import, so it is only imported when a service is really asked. A wait keeps its client:
    # each new one would sign in anew and open a connection of its own.
    try:
        from google.api_core.client_options import ClientOptions
        from google.cloud import aiplatform_v1
    except ImportError as error:
        raise missing_package("google-cloud-aiplatform", "gcp") from error
    from cxr.storage.google.credentials import local_credentials
    from cxr.storage.google.errors import google_errors

    with google_errors("open Vertex AI"):
        return getattr(aiplatform_v1, name)(
            credentials=local_credentials() if connection.endpoint else None,
            transport="rest",
            client_options=ClientOptions(api_endpoint=connection.vertex_endpoint),
        )
