"""Online endpoints: made, deployed to, asked, removed. Every call that takes long gives an operation at once."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.predicting.scores import Picture
from cxr.cloud.prices.predictions import ONLINE_NODES
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, endpoint_client, prediction_client
from cxr.cloud.vertex.long_running import Operation, operation_of
from cxr.errors import CheckFailed, CxrError, NotFound
from cxr.storage.google.errors import google_errors, polling_errors

#: The largest online request (Vertex AI quotas). Images travel in base64, which is a third longer than they are.
LARGEST_REQUEST_BYTES = 1_500_000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint and the ids of what is deployed to it."""

    resource: str
    deployed: tuple[str, ...] = ()

    @property
    def region(self) -> str:
        """Where it is."""
        return self.resource.split("/")[3]


def find_endpoints(connection: Connection, run: str) -> list[Endpoint]:
    """The endpoints that were made for a job, by their label `cxr-run`, whoever made them."""
    with polling_errors("look for the endpoint"):
        request = {"parent": connection.parent, "filter": f'labels.cxr-run="{run}"'}
        found = list(endpoint_client(connection).list_endpoints(request=request, timeout=REQUEST_TIMEOUT_S))
    return [_endpoint(one) for one in found]


def find_endpoint(connection: Connection, run: str) -> Endpoint | None:
    """The first of them."""
    return next(iter(find_endpoints(connection, run)), None)


def get_endpoint(connection: Connection, resource: str) -> Endpoint | None:
    """An endpoint by its name; None when there is none of it."""
    try:
        with polling_errors("read the endpoint"):
            return _endpoint(endpoint_client(connection).get_endpoint(name=resource, timeout=REQUEST_TIMEOUT_S))
    except NotFound:
        return None


def begin_endpoint(connection: Connection, name: str, labels: Mapping[str, str]) -> Operation:
    """Begin to make an endpoint. An empty one costs nothing."""
    with google_errors("create the endpoint"):
        begun = endpoint_client(connection).create_endpoint(
            request={"parent": connection.parent, "endpoint": {"display_name": name, "labels": dict(labels)}},
            timeout=REQUEST_TIMEOUT_S,
        )
    return operation_of(begun.operation)


def begin_deployment(connection: Connection, endpoint: str, model: str, name: str) -> Operation:
    """Begin to deploy a model to one node of the service's own choice. From here on hours are billed."""
    nodes = {"min_replica_count": ONLINE_NODES, "max_replica_count": ONLINE_NODES}
    with google_errors("deploy the model"):
        begun = endpoint_client(connection).deploy_model(
            request={
                "endpoint": endpoint,
                "deployed_model": {"model": model, "display_name": name, "automatic_resources": nodes},
                "traffic_split": {"0": 100},
            },
            timeout=REQUEST_TIMEOUT_S,
        )
    return operation_of(begun.operation)


def begin_undeployment(connection: Connection, endpoint: str, deployed: str) -> Operation:
    """Begin to take a model off its endpoint."""
    with polling_errors("undeploy the model"):
        request = {"endpoint": endpoint, "deployed_model_id": deployed}
        begun = endpoint_client(connection).undeploy_model(request=request, timeout=REQUEST_TIMEOUT_S)
    return operation_of(begun.operation)


def begin_deletion(connection: Connection, endpoint: str) -> Operation:
    """Begin to delete an endpoint that nothing is deployed to."""
    with polling_errors("delete the endpoint"):
        begun = endpoint_client(connection).delete_endpoint(name=endpoint, timeout=REQUEST_TIMEOUT_S)
    return operation_of(begun.operation)


def cancel_quietly(connection: Connection, operation: str) -> None:
    """Ask for the end of an operation; one that has ended or cannot be ended is left alone."""
    with suppress(CxrError), google_errors("cancel the operation"):
        endpoint_client(connection).cancel_operation(request={"name": operation}, timeout=REQUEST_TIMEOUT_S)


def request_bytes(size: int) -> int:
    """Bytes of the request that carries an image of `size` bytes."""
    frame = json.dumps({"instances": [{"content": "", "mimeType": "image/vnd.microsoft.icon"}], **_parameters(5000)})
    return len(frame) + 4 * ((size + 2) // 3)


def ask(connection: Connection, endpoint: str, picture: Picture, data: bytes, classes: int) -> Mapping[str, Any]:
    """The endpoint's answer for one image: `displayNames` and `confidences`, one of each label."""
    from google.protobuf import json_format, struct_pb2

    instance = {"content": base64.b64encode(data).decode("ascii"), "mimeType": picture.mime_type}
    with google_errors(f"score {picture.path}"):
        answer = prediction_client(connection).predict(
            endpoint=endpoint,
            instances=[json_format.ParseDict(instance, struct_pb2.Value())],
            parameters=json_format.ParseDict(_parameters(classes)["parameters"], struct_pb2.Value()),
            timeout=REQUEST_TIMEOUT_S,
        )
    try:
        found: dict[str, Any] = json_format.MessageToDict(type(answer).pb(answer))
    except json_format.Error as error:  # a confidence that is no number
        raise CheckFailed(f"the service's answer for {picture.path} cannot be read: {error}") from error
    first = found.get("predictions", [{}])[0]
    return first if isinstance(first, Mapping) else {}


def _parameters(classes: int) -> dict[str, Any]:
    return {"parameters": {"confidenceThreshold": 0.0, "maxPredictions": classes}}


def _endpoint(resource: Any) -> Endpoint:
    return Endpoint(str(resource.name), tuple(str(one.id) for one in resource.deployed_models))
