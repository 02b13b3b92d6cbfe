"""What clients may say about objects and buckets, and of which type it must be.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects and …/buckets; the limit,
https://cloud.google.com/storage/quotas#objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxr.cloud.emulator.errors import invalid
from cxr.cloud.emulator.storage_api.resources import BUCKET_ATTRIBUTES, OBJECT_ATTRIBUTES

#: Names and values of an object's custom metadata together.
MAX_METADATA_BYTES = 8 << 10
_BUCKET_TYPES: dict[str, type] = {"cors": list, "storageClass": str}


def object_attributes(wanted: object, content_type: str | None) -> dict[str, Any]:
    """What of the client's JSON is kept. Raises 400 for a value of the wrong type."""
    given = _checked(_object(wanted, "object"))
    attributes = {key: value for key, value in given.items() if value is not None}
    if any(value is None for value in attributes.get("metadata", {}).values()):
        raise invalid("Invalid value for metadata: every value must be a string.")
    if content_type and "contentType" not in attributes:
        attributes["contentType"] = content_type
    attributes.setdefault("contentType", "application/octet-stream")
    return attributes


def merged_attributes(attributes: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """An object's attributes as a patch leaves them: null removes a key. Raises 400 for a value of the wrong type."""
    given = _checked(wanted)
    if given.get("metadata") is not None:
        inner = {**attributes.get("metadata", {}), **given["metadata"]}
        given["metadata"] = {key: text for key, text in inner.items() if text is not None}
        _check_size(given["metadata"])
    return {key: value for key, value in {**attributes, **given}.items() if value is not None}


def bucket_attributes(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What of a new bucket's JSON is kept. Raises 400 for a value of the wrong type."""
    return merged_bucket_attributes({}, wanted)


def merged_bucket_attributes(attributes: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A bucket's attributes as a patch leaves them: objects are merged key by key, null removes a key. Raises 400 for a
    value of the wrong type.

    Source: https://cloud.google.com/storage/docs/json_api/v1/how-tos/performance#patch
    """
    given = {key: wanted[key] for key in BUCKET_ATTRIBUTES if key in wanted}
    for key, value in given.items():
        if value is not None and not isinstance(value, _BUCKET_TYPES.get(key, dict)):
            raise invalid(f"Invalid value for {key}: {value!r}")
    merged: dict[str, Any] = _patched(attributes, given)
    _check_configuration(merged.get("iamConfiguration", {}))
    website = merged.get("website", {})
    for key in ("mainPageSuffix", "notFoundPage"):
        if not isinstance(website.get(key, ""), str):
            raise invalid(f"Invalid value for {key}: a string is needed.")
    if not website:
        merged.pop("website", None)  # both pages taken away: it is no website any more
    if not all(isinstance(value, str) for value in merged.get("labels", {}).values()):
        raise invalid("Invalid value for labels: every value must be a string.")
    return merged


def _check_configuration(configuration: Mapping[str, Any]) -> None:
    prevention = configuration.get("publicAccessPrevention", "inherited")
    if prevention not in ("inherited", "enforced", "unspecified"):
        raise invalid(f"Invalid value for publicAccessPrevention: '{prevention}'")
    uniform = configuration.get("uniformBucketLevelAccess", {})
    if not isinstance(uniform, Mapping) or not isinstance(uniform.get("enabled", False), bool):
        raise invalid(f"Invalid value for uniformBucketLevelAccess: {uniform!r}")


def _patched(old: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(old) if isinstance(old, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _patched(merged.get(key), value)
    return merged


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise invalid(f"Invalid value for {name}: a JSON object is needed.")
    return value


def _checked(wanted: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: wanted[key] for key in OBJECT_ATTRIBUTES if key in wanted}
    for key, value in given.items():
        if key == "metadata":
            metadata = _object(value if value is not None else {}, key)
            if not all(text is None or isinstance(text, str) for text in metadata.values()):
                raise invalid("Invalid value for metadata: every value must be a string.")
            _check_size(metadata)
        elif value is not None and not isinstance(value, str):
            raise invalid(f"Invalid value for {key}: a string is needed.")
    return given


def _check_size(metadata: Mapping[str, str | None]) -> None:
    size = sum(len(key.encode()) + len((text or "").encode()) for key, text in metadata.items())
    if size > MAX_METADATA_BYTES:
        raise invalid(f"The custom metadata have {size} bytes; at most {MAX_METADATA_BYTES} are allowed.")
