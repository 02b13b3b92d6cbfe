"""Database rows as the service's JSON resources.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects and …/buckets.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any
from urllib.parse import quote

from cxr.cloud.emulator.storage_api.context import rfc3339

#: What a client may set on an object; everything else in its JSON is ignored, as the service does.
OBJECT_ATTRIBUTES = (
    "contentType",
    "metadata",
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "customTime",
    "storageClass",
)
#: What a client may set on a bucket.
BUCKET_ATTRIBUTES = (
    "iamConfiguration",
    "labels",
    "lifecycle",
    "cors",
    "website",
    "versioning",
    "storageClass",
    "softDeletePolicy",
    "retentionPolicy",
)


def object_resource(row: sqlite3.Row, base_url: str) -> dict[str, Any]:
    """An objects#resource."""
    bucket, name = quote(row["bucket"], safe=""), quote(row["name"], safe="")
    generation = row["generation"]
    created = rfc3339(row["created_us"])
    return {
        "storageClass": "STANDARD",
        **json.loads(row["attributes"]),
        "kind": "storage#object",
        "id": f"{row['bucket']}/{row['name']}/{generation}",
        "selfLink": f"{base_url}/storage/v1/b/{bucket}/o/{name}",
        "mediaLink": f"{base_url}/download/storage/v1/b/{bucket}/o/{name}?generation={generation}&alt=media",
        "name": row["name"],
        "bucket": row["bucket"],
        "generation": str(generation),
        "metageneration": str(row["metageneration"]),
        "size": str(row["size"]),
        "md5Hash": row["md5"],
        "crc32c": row["crc32c"],
        "etag": etag(row),
        "timeCreated": created,
        "updated": rfc3339(row["updated_us"]),
        "timeStorageClassUpdated": created,
    }


def bucket_resource(row: sqlite3.Row, base_url: str) -> dict[str, Any]:
    """A buckets#resource."""
    location = row["location"]
    return {
        "storageClass": "STANDARD",
        **json.loads(row["attributes"]),
        "kind": "storage#bucket",
        "id": row["name"],
        "name": row["name"],
        "selfLink": f"{base_url}/storage/v1/b/{row['name']}",
        "location": location,
        "locationType": "multi-region" if location in {"US", "EU", "ASIA"} else "region",
        "metageneration": str(row["metageneration"]),
        "etag": f"CA{row['metageneration']}=",
        "timeCreated": rfc3339(row["created_us"]),
        "updated": rfc3339(row["updated_us"]),
    }


def etag(row: sqlite3.Row) -> str:
    """Changes with the object's bytes and with its metadata."""
    return f"C{row['generation']}-{row['metageneration']}="
