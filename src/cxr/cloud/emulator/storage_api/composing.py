"""Objects made of objects: compose (several into one), copy and rewrite (one under another name).

Sources: https://cloud.google.com/storage/docs/json_api/v1/objects/compose, …/objects/copy and …/objects/rewrite. A
composed object has a crc32c and a count of components, and no md5
(https://cloud.google.com/storage/docs/composite-objects).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from cxr.cloud.emulator.errors import StorageError, invalid, storage_unimplemented
from cxr.cloud.emulator.http import Request, Response, json_response
from cxr.cloud.emulator.storage_api.attributes import object_attributes
from cxr.cloud.emulator.storage_api.buckets import check_bucket, json_body
from cxr.cloud.emulator.storage_api.context import Row, StorageContext
from cxr.cloud.emulator.storage_api.objects import (
    checked_object_name,
    commit_object,
    find_object,
)
from cxr.cloud.emulator.storage_api.partial import mask_of
from cxr.cloud.emulator.storage_api.preconditions import preconditions_of
from cxr.cloud.emulator.storage_api.resources import COMPONENT_COUNT, object_resource

#: https://cloud.google.com/storage/quotas#objects.
MAX_SOURCES = 32
_ATTEMPTS = 5
_Result = TypeVar("_Result")


def compose(context: StorageContext, request: Request, bucket: str, name: str) -> Response:
    """POST /storage/v1/b/BUCKET/o/NAME/compose."""
    wanted = json_body(request)
    sources = wanted.get("sourceObjects")
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        raise invalid("Required parameter: sourceObjects")
    if not 1 <= len(sources) <= MAX_SOURCES:
        raise invalid(
            f"The number of source components provided ({len(sources)}) must be from 1 to {MAX_SOURCES}.",
        )
    if wanted.get("deleteSourceObjects"):
        raise storage_unimplemented("objects.compose with deleteSourceObjects")
    checked_object_name(name)
    check_bucket(context, bucket)
    destination = wanted.get("destination")
    attributes = object_attributes({} if destination is None else destination, None)
    row = _while_sources_stay(lambda: _composed(context, request, bucket, name, sources, attributes))
    return json_response(object_resource(row, request.base_url, mask_of(request.query)))


def copy(context: StorageContext, request: Request, source: tuple[str, str], target: tuple[str, str]) -> Response:
    """POST …/o/SOURCE/copyTo/b/BUCKET/o/TARGET: the new object."""
    row = _while_sources_stay(lambda: _copied(context, request, source, target))
    return json_response(object_resource(row, request.base_url, mask_of(request.query)))


def rewrite(context: StorageContext, request: Request, source: tuple[str, str], target: tuple[str, str]) -> Response:
    """POST …/o/SOURCE/rewriteTo/b/BUCKET/o/TARGET: always done in one call."""
    row = _while_sources_stay(lambda: _copied(context, request, source, target))
    size = str(row["size"])
    answer = {"kind": "storage#rewriteResponse", "totalBytesRewritten": size, "objectSize": size, "done": True}
    return json_response({**answer, "resource": object_resource(row, request.base_url)})


def _composed(
    context: StorageContext,
    request: Request,
    bucket: str,
    name: str,
    sources: Sequence[Mapping[str, Any]],
    attributes: Mapping[str, Any],
) -> Row:
    rows = [_source(context, bucket, source) for source in sources]

    def everything() -> Iterator[bytes]:
        for row in rows:
            yield from context.blobs.chunks(row["blob"], row["size"])

    blob = replace(context.blobs.write(everything()), md5="")
    count = sum(json.loads(row["attributes"]).get(COMPONENT_COUNT, 1) for row in rows)
    conditions = preconditions_of(request.query)
    return commit_object(context, bucket, name, blob, {**attributes, COMPONENT_COUNT: count}, conditions)


def _source(context: StorageContext, bucket: str, source: Mapping[str, Any]) -> Row:
    name, generation = source.get("name"), source.get("generation")
    conditions = source.get("objectPreconditions")
    conditions = {} if conditions is None else conditions
    if not isinstance(name, str) or not isinstance(conditions, dict):
        raise invalid("Invalid value for sourceObjects: a name and, if any, objectPreconditions are needed.")
    row = find_object(context.database.read, bucket, name, None if generation is None else str(generation))
    preconditions_of({key: str(value) for key, value in conditions.items()}).check(row)
    return row


def _copied(context: StorageContext, request: Request, source: tuple[str, str], target: tuple[str, str]) -> Row:
    checked_object_name(target[1])
    check_bucket(context, target[0])
    row = find_object(context.database.read, *source, request.query.get("sourceGeneration"))
    preconditions_of(request.query, of_source=True).check(row)
    attributes = json.loads(row["attributes"])
    wanted = json_body(request)
    given = object_attributes(wanted, attributes.get("contentType"))
    if len(given) > 1 or "contentType" in wanted:
        kept = {COMPONENT_COUNT: attributes[COMPONENT_COUNT]} if COMPONENT_COUNT in attributes else {}
        attributes = {**given, **kept}
    blob = context.blobs.write(context.blobs.chunks(row["blob"], row["size"]))
    blob = replace(blob, md5=row["md5"])
    return commit_object(context, *target, blob, attributes, preconditions_of(request.query))


def _while_sources_stay(make: Callable[[], _Result]) -> _Result:
    # A source that is replaced while its bytes are read is looked up again.
    for _ in range(_ATTEMPTS):
        try:
            return make()
        except FileNotFoundError:
            continue
    raise StorageError(500, "backendError", "The bytes of a source object are missing, or keep changing.")
