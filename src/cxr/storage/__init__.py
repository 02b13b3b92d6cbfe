"""Objects in buckets and folders behind one interface."""

from __future__ import annotations

from pathlib import Path

from cxr.errors import UsageError
from cxr.storage.store import Listing, ObjectInfo, Store

__all__ = ["Listing", "ObjectInfo", "Store", "open_listing", "open_store"]

DEFAULT_WORKERS = 16


def open_store(
    url: str, *, endpoint: str | None = None, project: str | None = None, workers: int = DEFAULT_WORKERS
) -> Store:
    """The store at `url`: `gs://bucket/prefix` or a local folder.

    `endpoint` is the origin of a server that speaks the Cloud Storage API; without it STORAGE_EMULATOR_HOST decides,
    and without that Google's own. `workers` is the width of the HTTP connection pool. Raises UsageError for a URL of
    another kind, NotAllowed when Google's credentials are needed and absent.
    """
    if url.startswith("gs://"):
        # Google's SDK is only imported when a bucket is asked for: it takes half a second.
        from cxr.storage.gcs import open_gcs_store

        return open_gcs_store(url, endpoint=endpoint, project=project, workers=workers)
    if "://" in url:
        raise UsageError(f"cannot store at {url}", hint="use gs://bucket/prefix or a folder")
    from cxr.storage.folder import FolderStore

    return FolderStore(Path(url))


def open_listing(url: str) -> Listing:
    """What lies at `gs://bucket/prefix` or `s3://bucket/prefix`, to be listed and nothing more.

    gs:// goes where `open_store` goes; s3:// to where boto3 is pointed (AWS_ENDPOINT_URL, else Amazon). Raises
    UsageError for a URL of another kind, InputError when it names no bucket, NotAllowed when credentials are needed and
    absent.
    """
    if url.startswith("s3://"):
        # boto3 takes a third of a second to import.
        from cxr.storage.s3 import open_s3_listing

        return open_s3_listing(url)
    if url.startswith("gs://"):
        return open_store(url)
    raise UsageError(f"cannot list {url}", hint="name a folder, gs://bucket/prefix or s3://bucket/prefix")
