"""Deleting one thing on Vertex AI, and waiting until it is gone."""

from __future__ import annotations

from typing import Any

from cxr.cloud.cleaning.leftovers import Leftover, Sort
from cxr.cloud.connection import Connection
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, dataset_client, endpoint_client, model_client
from cxr.cloud.vertex.job_kinds import SERVICES
from cxr.cloud.vertex.long_running import wait_for_operation
from cxr.storage.google.errors import google_errors

_KINDS = {
    Sort.AUTOML: JobKind.AUTOML,
    Sort.CUSTOM: JobKind.CUSTOM,
    Sort.TUNE: JobKind.TUNE,
    Sort.BATCH: JobKind.BATCH,
}


def remove_resource(connection: Connection, leftover: Leftover) -> None:
    """Take off what is deployed, then delete. Raises NotFound for what is gone."""
    what = f"delete {leftover.short_name}"
    for deployed in leftover.deployed:
        _undeploy(connection, leftover.name, deployed)
    with google_errors(what):
        operation = _deletion(connection, leftover)
    wait_for_operation(operation, what)


def _undeploy(connection: Connection, endpoint: str, deployed: str) -> None:
    what = f"undeploy {deployed} from {endpoint.rsplit('/', 1)[-1]}"
    client = endpoint_client(connection)
    with google_errors(what):
        there = {str(one.id) for one in client.get_endpoint(name=endpoint, timeout=REQUEST_TIMEOUT_S).deployed_models}
        if deployed not in there:
            return  # an earlier, interrupted clean-up has done it
        request: dict[str, Any] = {"endpoint": endpoint, "deployed_model_id": deployed}
        if others := sorted(there - {deployed}):
            request["traffic_split"] = {others[0]: 100}  # what has traffic cannot be taken off
        operation = client.undeploy_model(request=request, timeout=REQUEST_TIMEOUT_S)
    wait_for_operation(operation, what)


def _deletion(connection: Connection, leftover: Leftover) -> Any:
    name = leftover.name
    if leftover.sort is Sort.ENDPOINT:
        return endpoint_client(connection).delete_endpoint(name=name, timeout=REQUEST_TIMEOUT_S)
    if leftover.sort is Sort.MODEL:
        return model_client(connection).delete_model(name=name, timeout=REQUEST_TIMEOUT_S)
    if leftover.sort is Sort.DATASET:
        return dataset_client(connection).delete_dataset(name=name, timeout=REQUEST_TIMEOUT_S)
    return SERVICES[_KINDS[leftover.sort]].delete(connection, name)
