"""Objects in buckets and folders behind one interface."""

from __future__ import annotations

from cxr.storage.amazon.session import AwsPlace
from cxr.storage.opening import open_listing, open_store
from cxr.storage.retrying import RetryingStore
from cxr.storage.store import ABSENT, Digest, Listing, ObjectInfo, Store

__all__ = [
    "ABSENT",
    "AwsPlace",
    "Digest",
    "Listing",
    "ObjectInfo",
    "RetryingStore",
    "Store",
    "open_listing",
    "open_store",
]
