"""Partial responses: the `fields` parameter, `items(name,size),nextPageToken` or `items/name`.

Source: https://cloud.google.com/storage/docs/json_api#partial-response.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from cxr.cloud.emulator.errors import StorageError

#: What is asked for of an object: of each field everything (None) or again a part.
Mask = dict[str, "Mask | None"]
MAX_DEPTH = 100
#: The fields of an objects#resource, those included that this emulator never has.
OBJECT_FIELDS: Mapping[str, Collection[str] | None] = dict.fromkeys(
    (
        *("kind", "id", "selfLink", "mediaLink", "name", "bucket", "generation", "metageneration", "size", "md5Hash"),
        *("crc32c", "etag", "timeCreated", "updated", "timeStorageClassUpdated", "timeDeleted", "timeFinalized"),
        *("contentType", "metadata", "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage"),
        *("customTime", "storageClass", "componentCount", "acl", "owner", "kmsKeyName", "customerEncryption"),
        *("temporaryHold", "eventBasedHold", "retentionExpirationTime", "retention", "softDeleteTime"),
        *("hardDeleteTime", "restoreToken", "contexts"),
    )
)
_TOKEN = re.compile(r"[^(),/]+|[(),/]")


def mask_of(query: Mapping[str, str], known: Mapping[str, Collection[str] | None] = OBJECT_FIELDS) -> Mask | None:
    """The mask of a request; None when it asks for everything.

    Raises 400 when it cannot be read, or asks for what is not `known` (each with what is known of its parts).
    """
    text = query.get("fields", "").strip()
    if not text or text == "*":
        return None
    if text.count("/") + text.count("(") > MAX_DEPTH:
        raise _unreadable(text)
    tokens = [token for token in (found.strip() for found in _TOKEN.findall(text)) if token]
    mask = _selection(tokens, text)
    if tokens or not _is_known(mask, known):
        raise _unreadable(text)
    return None if "*" in mask else mask


def masked(value: Any, mask: Mask | None) -> Any:
    """What of a JSON value the mask asks for; of a list, that of each element."""
    if mask is None or "*" in mask:
        return value
    if isinstance(value, list):
        return [masked(item, mask) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: masked(value[name], part) for name, part in mask.items() if name in value}


def _is_known(mask: Mask, known: Collection[str]) -> bool:
    if not set(mask) <= {*known, "*"}:
        return False
    parts = known if isinstance(known, Mapping) else {}
    return all(_is_known(part, parts[name]) for name, part in mask.items() if part and parts.get(name))


def _selection(tokens: list[str], text: str) -> Mask:
    mask: Mask = {}
    while True:
        name, part = _field(tokens, text)
        known = mask.get(name, {})
        mask[name] = None if part is None or known is None else {**known, **part}
        if not tokens or tokens[0] != ",":
            return mask
        tokens.pop(0)


def _field(tokens: list[str], text: str) -> tuple[str, Mask | None]:
    if not tokens or tokens[0] in set("(),/"):
        raise _unreadable(text)
    name = tokens.pop(0)
    if tokens and tokens[0] == "/":
        tokens.pop(0)
        inner, part = _field(tokens, text)
        return name, {inner: part}
    if tokens and tokens[0] == "(":
        tokens.pop(0)
        part = _selection(tokens, text)
        if not tokens or tokens.pop(0) != ")":
            raise _unreadable(text)
        return name, part
    return name, None


def _unreadable(text: str) -> StorageError:
    return StorageError(400, "invalidParameter", f"Invalid field selection {text}", location=("parameter", "fields"))
