"""Which store stands behind a URL: a bucket of Google's or Amazon's, or a folder."""

from __future__ import annotations

from pathlib import Path

from cxr.errors import UsageError
from cxr.storage.amazon.session import AwsPlace
from cxr.storage.limits import Limits
from cxr.storage.retrying import Patience, Retrier, RetryingStore
from cxr.storage.sessions import SessionRecords
from cxr.storage.store import Listing, Store

DEFAULT_WORKERS = 16
#: Seconds for which a mere listing is tried again: somebody sits before it.
LISTING_RETRY_S = 20.0


def open_store(
    url: str,
    *,
    endpoint: str | None = None,
    project: str | None = None,
    aws: AwsPlace | None = None,
    workers: int = DEFAULT_WORKERS,
    limits: Limits | None = None,
    retrier: Retrier | None = None,
    sessions: SessionRecords | None = None,
) -> RetryingStore:
    """The store at `url`: `gs://bucket/prefix`, `s3://bucket/prefix` or a local folder; what fails for now is repeated.

    `endpoint` is the origin of a server that speaks the Cloud Storage API; without it STORAGE_EMULATOR_HOST decides,
    and without that Google's own. s3:// goes to `aws`, without it to where boto3 is pointed (AWS_ENDPOINT_URL, else
    Amazon). `workers` is the width of the HTTP connection pool, `sessions` where uploads of large files are remembered.
    Raises UsageError for a URL of another kind, NotAllowed when credentials are needed and absent.
    """
    return RetryingStore(_open(url, endpoint, project, aws, workers, limits, sessions), retrier or Retrier())


def _open(
    url: str,
    endpoint: str | None,
    project: str | None,
    aws: AwsPlace | None,
    workers: int,
    limits: Limits | None,
    sessions: SessionRecords | None,
) -> Store:
    # The SDKs are only imported when a bucket is asked for: they take a third to half a second.
    if url.startswith("gs://"):
        from cxr.storage.google.store import open_gcs_store

        return open_gcs_store(
            url, endpoint=endpoint, project=project, workers=workers, limits=limits, sessions=sessions
        )
    if url.startswith("s3://"):
        from cxr.storage.amazon.store import open_s3_store

        return open_s3_store(url, place=aws, workers=workers, limits=limits, sessions=sessions)
    if "://" in url:
        raise UsageError(f"cannot store at {url}", hint="use gs://bucket/prefix, s3://bucket/prefix or a folder")
    from cxr.storage.folder import FolderStore

    return FolderStore(Path(url), limits)


def open_listing(url: str) -> Listing:
    """What lies at `gs://bucket/prefix` or `s3://bucket/prefix`, to be listed and nothing more.

    Raises UsageError for a URL of another kind, InputError when it names no bucket, NotAllowed when credentials are
    needed and absent.
    """
    if not url.startswith(("gs://", "s3://")):
        raise UsageError(f"cannot list {url}", hint="name a folder, gs://bucket/prefix or s3://bucket/prefix")
    return open_store(url, retrier=Retrier(Patience(retry_s=LISTING_RETRY_S)))
