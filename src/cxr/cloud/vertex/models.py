"""Models on the service: what they can be exported to, and the export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cxr.cloud.connection import Connection
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, model_client
from cxr.cloud.vertex.operations import wait_for_operation
from cxr.errors import Fault, UsageError
from cxr.storage.google_errors import google_errors


@dataclass(frozen=True, slots=True)
class ServiceModel:
    """A model resource: its name, labels and the export formats it offers."""

    resource: str
    display_name: str
    labels: dict[str, str]
    export_formats: tuple[str, ...]


def get_model(connection: Connection, resource: str) -> ServiceModel:
    """Ask the service for a model."""
    with google_errors("read the model"):
        model = model_client(connection).get_model(name=resource, timeout=REQUEST_TIMEOUT_S)
    formats = tuple(str(export_format.id) for export_format in model.supported_export_formats)
    return ServiceModel(str(model.name), str(model.display_name), dict(model.labels), formats)


def check_formats(model: ServiceModel, wanted: Sequence[str]) -> None:
    """Raises UsageError when the model cannot be exported to one of the wanted formats, listing those it can."""
    for name in wanted:
        if name not in model.export_formats:
            offered = ", ".join(model.export_formats) or "none (cloud models cannot be exported)"
            raise UsageError(f"this model has no export format {name!r}", hint=f"it has: {offered}")


def export_model(connection: Connection, model: ServiceModel, export_format: str, destination: str) -> str:
    """Export to a folder that the service makes under `destination` (gs://…); returns that folder's URL."""
    what = f"export the model as {export_format}"
    with google_errors(what):
        operation = model_client(connection).export_model(
            request={
                "name": model.resource,
                "output_config": {
                    "export_format_id": export_format,
                    "artifact_destination": {"output_uri_prefix": destination},
                },
            },
            timeout=REQUEST_TIMEOUT_S,
        )
    wait_for_operation(operation, what)
    url = str(operation.metadata.output_info.artifact_output_uri) if operation.metadata else ""
    if not url:
        raise Fault(f"{what}: the service did not say where it wrote the files")
    return url.rstrip("/")
