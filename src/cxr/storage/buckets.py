"""Buckets: found, or made private in the job's region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.api_core import exceptions as api

from cxr.errors import InputError, NotAllowed
from cxr.storage.gcs import gcs_client
from cxr.storage.google_errors import storage_errors
from cxr.storage.transfer.haul import Haul


@dataclass(frozen=True, slots=True)
class BucketState:
    """A bucket as found: its location in lower case, or None when it does not exist; whether it is `private`, that is,
    prevents public access by enforcement."""

    name: str
    location: str | None
    private: bool = True


def find_bucket(name: str, *, endpoint: str | None, project: str | None, haul: Haul | None = None) -> BucketState:
    """Look a bucket up; raises NotAllowed when it belongs to somebody else."""
    haul = haul or Haul()
    client = gcs_client(endpoint=endpoint, project=project, workers=1, limits=haul.limits)

    def look() -> Any:
        with storage_errors(f"look up gs://{name}"):
            return client.lookup_bucket(name, retry=None)

    bucket = haul.retrier.call(look)
    if bucket is None:
        return BucketState(name, None)
    private = bucket.iam_configuration.public_access_prevention == "enforced"
    return BucketState(name, bucket.location.lower(), private)


def create_private_bucket(
    name: str, *, region: str, endpoint: str | None, project: str | None, haul: Haul | None = None
) -> None:
    """Make a bucket in `region` with uniform access and public access prevention enforced.

    One that somebody has made meanwhile (an earlier attempt whose answer was lost, say) is taken when it is ours, there
    and private. Raises InputError when the name is taken.
    """
    haul = haul or Haul()
    client = gcs_client(endpoint=endpoint, project=project, workers=1, limits=haul.limits)

    def create() -> bool:
        bucket: Any = client.bucket(name)
        bucket.iam_configuration.uniform_bucket_level_access_enabled = True
        bucket.iam_configuration.public_access_prevention = "enforced"
        with storage_errors(f"create gs://{name}"):
            try:
                client.create_bucket(bucket, location=region, retry=None)
            except api.Conflict:
                return False
        return True

    # A name is made once or not at all: the request can be repeated.
    if haul.retrier.call(create):
        return
    try:
        found = find_bucket(name, endpoint=endpoint, project=project, haul=haul)
    except NotAllowed:
        found = BucketState(name, None)
    if found.location != region.lower() or not found.private:
        raise InputError(
            f"the bucket name {name} is taken", hint="bucket names are global: choose another with --bucket"
        )
