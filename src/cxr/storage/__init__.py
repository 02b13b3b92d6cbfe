"""Objects in buckets and folders behind one interface."""

from __future__ import annotations

from pathlib import Path

from cxr.errors import UsageError
from cxr.storage.store import ObjectInfo, Store

__all__ = ["ObjectInfo", "Store", "open_store"]

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
