"""What runs left on Vertex AI: models, endpoints and datasets, by cxr's labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from cxr.cloud.cleaning.found import Hunt
from cxr.cloud.cleaning.leftovers import Leftover, Sort
from cxr.cloud.cleaning.places import Where, short_of
from cxr.cloud.connection import Connection
from cxr.cloud.hardware import Hardware
from cxr.cloud.jobs.seen import MANIFEST_LABEL, RUN_LABEL
from cxr.cloud.prices.storage import MonthlyPrice, automl_nodes_price, machines_price
from cxr.cloud.prices.table import PriceTable
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, dataset_client, endpoint_client, model_client
from cxr.storage.google.errors import google_errors


def leftovers(hunt: Hunt, prices: PriceTable, *, keep_models: bool) -> list[Leftover]:
    """Endpoints, models and datasets in scope, and why some of them stay."""
    endpoints = list(_endpoints(hunt, prices))
    models = _with_deployments(_models(hunt, keep_models), endpoints)
    return [*endpoints, *models, *_datasets(hunt)]


def cleaning_notes(connection: Connection, leftovers: Sequence[Leftover]) -> Iterator[str]:
    """What costs nothing, and what is billed although it is deleted."""
    yield "datasets, jobs and models that are not deployed cost nothing by themselves"
    if any(one.sort is Sort.OBJECTS for one in leftovers):
        yield (
            f"where {connection.bucket_url} keeps deleted objects (soft delete, 7 days unless changed), they are "
            "billed until then"
        )


def _models(hunt: Hunt, keep_models: bool) -> Iterable[Leftover]:
    exported = {job.model for job in hunt.found.journal if job.exported_to and job.model}
    for model in _listed(hunt.connection, model_client, "models"):
        verdict = hunt.verdict(model.labels)
        if verdict is None:
            continue
        name = str(model.name).partition("@")[0]
        at = [str(one.endpoint) for one in model.deployed_models]
        told = ["exported before" if name in exported else "never exported from here"]
        yield Leftover(
            Sort.MODEL,
            name,
            str(model.labels.get(RUN_LABEL, "")),
            str(model.labels.get(MANIFEST_LABEL, "")),
            detail=", ".join([*told, *(f"deployed at {short_of(endpoint)}" for endpoint in at)]),
            kept="--keep-models" if keep_models else verdict,
            deployed=tuple(at),
        )


def _with_deployments(models: Iterable[Leftover], endpoints: list[Leftover]) -> Iterable[Leftover]:
    going = {short_of(one.name) for one in endpoints if not one.kept}
    for model in models:
        elsewhere = [short_of(endpoint) for endpoint in model.deployed if short_of(endpoint) not in going]
        if elsewhere and not model.kept:
            model = replace(model, kept=f"it is deployed at {', '.join(elsewhere)}, which is not part of this")
        yield replace(model, deployed=())


def _endpoints(hunt: Hunt, prices: PriceTable) -> Iterable[Leftover]:
    for endpoint in _listed(hunt.connection, endpoint_client, "endpoints"):
        verdict = hunt.verdict(endpoint.labels)
        if verdict is None:
            continue
        parts = [_deployed_price(one, prices) for one in endpoint.deployed_models]
        known = [part.usd for part in parts if part.usd is not None]
        yield Leftover(
            Sort.ENDPOINT,
            str(endpoint.name),
            str(endpoint.labels.get(RUN_LABEL, "")),
            str(endpoint.labels.get(MANIFEST_LABEL, "")),
            detail=f"{len(parts)} deployed" if parts else "nothing deployed",
            kept=verdict,
            usd_per_month=sum(known) if len(known) == len(parts) else None,
            basis="; ".join(dict.fromkeys(part.basis for part in parts)),
            deployed=tuple(str(one.id) for one in endpoint.deployed_models),
        )


def _deployed_price(deployed: Any, prices: PriceTable) -> MonthlyPrice:
    if deployed.automatic_resources:
        return automl_nodes_price(max(1, int(deployed.automatic_resources.min_replica_count)))
    own = deployed.dedicated_resources
    machine = own.machine_spec
    if not machine.machine_type:
        return MonthlyPrice(None, "a deployment on shared machines has no price in the table")
    accelerator = machine.accelerator_type.name if machine.accelerator_count else None
    count = max(1, int(own.min_replica_count))
    hardware = Hardware(str(machine.machine_type), accelerator, int(machine.accelerator_count), count)
    return machines_price(prices, hardware)


def _datasets(hunt: Hunt) -> Iterable[Leftover]:
    """A dataset belongs to a manifest, not to a run: it goes with the last run that has it."""
    manifests = hunt.found.manifests_of(hunt.scope)
    for dataset in _listed(hunt.connection, dataset_client, "datasets"):
        manifest, run = str(dataset.labels.get(MANIFEST_LABEL, "")), str(dataset.labels.get(RUN_LABEL, ""))
        verdict = hunt.verdict(dataset.labels)
        if verdict is None:
            where = hunt.found.places.of(dataset.labels)
            runs = hunt.found.runs_with(manifest, anywhere=where is Where.UNKNOWN)
            if where is Where.ELSEWHERE or manifest not in manifests or runs - hunt.scope.runs:
                continue
        yield Leftover(
            Sort.DATASET,
            str(dataset.name),
            run,
            manifest,
            detail=f"{int(dataset.data_item_count):,} images",
            kept=verdict or "",
        )


def _listed(connection: Connection, client: Callable[[Connection], Any], what: str) -> list[Any]:
    """The resources that carry one of cxr's labels."""
    found: dict[str, Any] = {}
    for label in (RUN_LABEL, MANIFEST_LABEL):
        with google_errors(f"list the {what}"):
            request = {"parent": connection.parent, "filter": f"labels.{label}:*", "page_size": 100}
            listed = getattr(client(connection), f"list_{what}")(request=request, timeout=REQUEST_TIMEOUT_S)
            found |= {str(one.name): one for one in listed}
    return list(found.values())
