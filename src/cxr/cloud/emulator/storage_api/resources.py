"""Database rows as the service's JSON resources.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects and …/buckets.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from cxr.cloud.emulator.project_numbers import project_number
from cxr.cloud.emulator.storage_api.context import Row, rfc3339
from cxr.cloud.emulator.storage_api.partial import Mask, masked

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


#: Kept among a composed object's attributes; no client can set it.
COMPONENT_COUNT = "componentCount"


def object_resource(row: Row, base_url: str, mask: Mask | None = None) -> dict[str, Any]:
    """An objects#resource, or what of it `mask` asks for."""
    if mask is None:
        resource = {"storageClass": "STANDARD", **json.loads(row["attributes"])}
        resource |= {name: make(row, base_url) for name, make in _COMPUTED.items()}
        if not row["md5"]:
            del resource["md5Hash"]  # a composed object has none
        return resource
    if any(name not in _COMPUTED or (name == "md5Hash" and not row["md5"]) for name in mask):
        part: dict[str, Any] = masked(object_resource(row, base_url), mask)
        return part
    return {name: _COMPUTED[name](row, base_url) for name in mask}


#: The fields that are not as the client set them.
_COMPUTED: dict[str, Callable[[Row, str], str]] = {
    "kind": lambda row, base: "storage#object",
    "id": lambda row, base: f"{row['bucket']}/{row['name']}/{row['generation']}",
    "selfLink": lambda row, base: f"{base}/storage/v1/{_path(row)}",
    "mediaLink": lambda row, base: f"{base}/download/storage/v1/{_path(row)}?generation={row['generation']}&alt=media",
    "name": lambda row, base: str(row["name"]),
    "bucket": lambda row, base: str(row["bucket"]),
    "generation": lambda row, base: str(row["generation"]),
    "metageneration": lambda row, base: str(row["metageneration"]),
    "size": lambda row, base: str(row["size"]),
    "md5Hash": lambda row, base: str(row["md5"]),
    "crc32c": lambda row, base: str(row["crc32c"]),
    "etag": lambda row, base: etag(row),
    "timeCreated": lambda row, base: rfc3339(row["created_us"]),
    "updated": lambda row, base: rfc3339(row["updated_us"]),
    "timeStorageClassUpdated": lambda row, base: rfc3339(row["created_us"]),
}


def _path(row: Row) -> str:
    return f"b/{row['bucket']}/o/{quote(row['name'], safe='')}"


def bucket_resource(row: Row, base_url: str) -> dict[str, Any]:
    """A buckets#resource."""
    location = row["location"]
    return {
        "storageClass": "STANDARD",
        **json.loads(row["attributes"]),
        "kind": "storage#bucket",
        "id": row["name"],
        "name": row["name"],
        "projectNumber": project_number(row["project"]),
        "selfLink": f"{base_url}/storage/v1/b/{row['name']}",
        "location": location,
        "locationType": "multi-region" if location in {"US", "EU", "ASIA"} else "region",
        "metageneration": str(row["metageneration"]),
        "etag": f"CA{row['metageneration']}=",
        "timeCreated": rfc3339(row["created_us"]),
        "updated": rfc3339(row["updated_us"]),
    }


def etag(row: Row) -> str:
    """Changes with the object's bytes and with its metadata."""
    return f"C{row['generation']}-{row['metageneration']}="
