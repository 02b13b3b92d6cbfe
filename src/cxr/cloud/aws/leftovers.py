"""What runs left on SageMaker (models made for batch transforms, endpoints) and on EC2, by cxr's tags.

The records of jobs stay: SageMaker keeps them, and they cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cxr.cloud.aws.clients import aws_errors, client
from cxr.cloud.aws.ec2 import engine as ec2
from cxr.cloud.aws.names import PREFIX
from cxr.cloud.aws.sagemaker.job_kinds import name_of, tags_of
from cxr.cloud.cleaning.found import Hunt
from cxr.cloud.cleaning.leftovers import Leftover, Sort
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.seen import MANIFEST_LABEL, RUN_LABEL
from cxr.cloud.prices.table import PriceTable
from cxr.errors import Fault, NotAllowed, NotFound

ENDPOINT_BASIS = "what the machines of an endpoint cost is not in the table"
RECORD = "Amazon keeps the record of a job; it costs nothing"


@dataclass(frozen=True, slots=True)
class _Resources:
    """One sort: how it is listed, where a listing has its ARNs, and how it is deleted by its name."""

    list: str
    listed: str
    arn: str
    delete: str
    name: str


_SORTS = {
    Sort.ENDPOINT: _Resources("list_endpoints", "Endpoints", "EndpointArn", "delete_endpoint", "EndpointName"),
    Sort.MODEL: _Resources("list_models", "Models", "ModelArn", "delete_model", "ModelName"),
}


def leftovers(hunt: Hunt, prices: PriceTable, *, keep_models: bool) -> list[Leftover]:
    """Machines of EC2 that live on, endpoints and models in scope, and why some of them stay. Endpoints are none of
    cxr's making; one that carries its tags is billed by the hour all the same."""
    kept = "--keep-models" if keep_models else ""
    machines = ec2.leftovers(hunt, prices)
    return [*machines, *_in_scope(hunt, Sort.ENDPOINT, ""), *_in_scope(hunt, Sort.MODEL, kept)]


def remove(connection: Connection, leftover: Leftover) -> None:
    """See Provider. Deleting an endpoint or a model is done when it is answered."""
    if leftover.sort in {Sort.MACHINE, Sort.VOLUME, Sort.GROUP}:
        ec2.remove(connection, leftover)
        return
    if leftover.sort not in _SORTS:
        raise Fault(f"{leftover.short_name}: {RECORD}")
    resources, name = _SORTS[leftover.sort], name_of(leftover.name)
    with aws_errors(f"delete {leftover.short_name}"):
        getattr(client(connection, "sagemaker"), resources.delete)(**{resources.name: name})


def cleaning_notes(connection: Connection, leftovers: Sequence[Leftover]) -> Iterator[str]:
    """What costs nothing, and what is billed although it is deleted (Amazon S3 User Guide, Deleting objects from a
    versioning-enabled bucket)."""
    yield "the records of jobs, and models that no endpoint has, cost nothing by themselves"
    if any(one.sort is Sort.OBJECTS for one in leftovers) and _keeps_versions(connection):
        yield (
            f"{connection.bucket_url} keeps old versions: what is deleted there is billed until a lifecycle rule of "
            "the bucket ends it"
        )


def _in_scope(hunt: Hunt, sort: Sort, kept: str) -> Iterator[Leftover]:
    for arn in _listed(hunt.connection, _SORTS[sort]):
        labels = tags_of(hunt.connection, arn)
        verdict = hunt.verdict(labels)
        if verdict is None:
            continue
        billed = sort is Sort.ENDPOINT
        yield Leftover(
            sort,
            arn,
            labels.get(RUN_LABEL, ""),
            labels.get(MANIFEST_LABEL, ""),
            detail="billed by the hour" if billed else "made for a batch prediction",
            kept=kept or verdict,
            usd_per_month=None if billed else 0.0,
            basis=ENDPOINT_BASIS if billed else "",
        )


def _listed(connection: Connection, resources: _Resources) -> list[str]:
    """The ARNs of what is named as cxr names things; tags cannot be asked for in a listing."""
    with aws_errors(f"list the {resources.listed.lower()}"):
        pages = client(connection, "sagemaker").get_paginator(resources.list).paginate(NameContains=PREFIX)
        found = [str(one[resources.arn]) for page in pages for one in page.get(resources.listed, ())]
    return [arn for arn in found if name_of(arn).startswith(PREFIX)]


def _keeps_versions(connection: Connection) -> bool:
    """Whether the bucket keeps deleted objects; where it may not be asked, it is not said."""
    try:
        with aws_errors(f"ask whether {connection.bucket_url} keeps versions"):
            told = client(connection, "s3").get_bucket_versioning(Bucket=connection.bucket)
    except (NotAllowed, NotFound):
        return False
    return told.get("Status") in {"Enabled", "Suspended"}
