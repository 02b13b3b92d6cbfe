"""Buckets: found, or made private in the job's region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.api_core import exceptions as api

from cxr.errors import InputError
from cxr.storage.gcs import gcs_client
from cxr.storage.google_errors import storage_errors


@dataclass(frozen=True, slots=True)
class BucketState:
    """A bucket as found: its location in lower case, or None when it does not exist; whether it is `private`, that is,
    prevents public access by enforcement."""

    name: str
    location: str | None
    private: bool = True


def find_bucket(name: str, *, endpoint: str | None, project: str | None) -> BucketState:
    """Look a bucket up; raises NotAllowed when it belongs to somebody else."""
    client = gcs_client(endpoint=endpoint, project=project, workers=2)
    with storage_errors(f"look up gs://{name}"):
        bucket = client.lookup_bucket(name)
    if bucket is None:
        return BucketState(name, None)
    private = bucket.iam_configuration.public_access_prevention == "enforced"
    return BucketState(name, bucket.location.lower(), private)


def create_private_bucket(name: str, *, region: str, endpoint: str | None, project: str | None) -> None:
    """Make a bucket in `region` with uniform access and public access prevention enforced."""
    client = gcs_client(endpoint=endpoint, project=project, workers=2)
    bucket: Any = client.bucket(name)
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = "enforced"
    with storage_errors(f"create gs://{name}"):
        try:
            client.create_bucket(bucket, location=region)
        except api.Conflict:
            raise InputError(
                f"the bucket name {name} is taken", hint="bucket names are global: choose another with --bucket"
            ) from None
