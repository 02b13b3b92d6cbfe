"""Models on the service: what they can be exported to, and the export as an operation that can be taken up again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.waiting import ask
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, model_client
from cxr.cloud.vertex.long_running import Operation, operation_of
from cxr.errors import NotFound
from cxr.storage.google.errors import google_errors, polling_errors

#: The format in which batches name their images.
BATCH_FORMAT = "jsonl"


@dataclass(frozen=True, slots=True)
class ServiceModel:
    """A model resource: its name, labels and the export formats (the service's ids) it offers; whether the service
    itself predicts with it in batches, and online on nodes of its own choice."""

    resource: str
    display_name: str
    labels: dict[str, str] = field(default_factory=dict)
    export_formats: tuple[str, ...] = ()
    in_batches: bool = False
    online: bool = False

    @property
    def id(self) -> str:
        """The last part of its name, without a version."""
        return self.resource.rpartition("/")[2].partition("@")[0]


def get_model(connection: Connection, resource: str) -> ServiceModel:
    """Ask the service for a model. Raises NotFound when it has been deleted."""
    try:
        model = ask(lambda: _read(connection, resource))
    except NotFound as error:
        raise NotFound(f"the model {resource} is not on the service any more", hint="train it again") from error
    formats = tuple(str(export_format.id) for export_format in model.supported_export_formats)
    return ServiceModel(
        resource=str(model.name),
        display_name=str(model.display_name),
        labels=dict(model.labels),
        export_formats=formats,
        in_batches=BATCH_FORMAT in model.supported_input_storage_formats,
        online="AUTOMATIC_RESOURCES" in {kind.name for kind in model.supported_deployment_resources_types},
    )


def _read(connection: Connection, resource: str) -> Any:
    with polling_errors("read the model"):
        return model_client(connection).get_model(name=resource, timeout=REQUEST_TIMEOUT_S)


def begin_export(connection: Connection, model: ServiceModel, service_id: str, destination: str) -> Operation:
    """Start an export to a folder that the service makes under `destination` (gs://…). The operation's name is known
    at once and can be waited for by any process."""
    with google_errors(f"export the model as {service_id}"):
        begun = model_client(connection).export_model(
            request={
                "name": model.resource,
                "output_config": {
                    "export_format_id": service_id,
                    "artifact_destination": {"output_uri_prefix": destination},
                },
            },
            timeout=REQUEST_TIMEOUT_S,
        )
    return operation_of(begun.operation)


def exported_url(operation: Operation) -> str:
    """Where an export's operation says that it writes; "" when it does not say."""
    from google.cloud.aiplatform_v1 import types

    metadata = operation.metadata_as(types.ExportModelOperationMetadata)
    return str(metadata.output_info.artifact_output_uri).rstrip("/") if metadata else ""
