"""Buckets of Cloud Storage: found, or made private in the job's region."""

from __future__ import annotations

from typing import Any

from google.api_core import exceptions as api

from cxr.errors import InputError, NotAllowed
from cxr.storage.bucket_state import BucketState
from cxr.storage.google.errors import storage_errors
from cxr.storage.google.store import gcs_client
from cxr.storage.transfer.haul import Haul


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
    configuration = bucket.iam_configuration
    return BucketState(
        name,
        bucket.location.lower(),
        private=configuration.public_access_prevention == "enforced",
        uniform=bool(configuration.uniform_bucket_level_access_enabled),
        project_number=str(bucket.project_number or ""),
    )


def bucket_policy(name: str, *, endpoint: str | None, project: str | None) -> list[dict[str, Any]]:
    """The bindings of a bucket's access policy: `role`, `members` (a set) and perhaps a `condition`. Raises NotAllowed
    without storage.buckets.getIamPolicy."""
    client = gcs_client(endpoint=endpoint, project=project, workers=1)
    with storage_errors(f"read the access policy of gs://{name}"):
        policy = client.bucket(name).get_iam_policy(requested_policy_version=3, retry=None)
    return [dict(binding) for binding in policy.bindings]


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
