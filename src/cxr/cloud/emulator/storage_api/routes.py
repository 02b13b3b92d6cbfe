"""Which path of the Cloud Storage JSON API is answered by what."""

from __future__ import annotations

from cxr.cloud.emulator.errors import storage_unimplemented
from cxr.cloud.emulator.http import Request, Response
from cxr.cloud.emulator.state.blobs import SMALL_BYTES
from cxr.cloud.emulator.storage_api import buckets, composing, iam, objects
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.downloads import download
from cxr.cloud.emulator.storage_api.listing import list_objects
from cxr.cloud.emulator.storage_api.resumable import name_of_upload
from cxr.cloud.emulator.storage_api.uploads import name_of_insert, upload

#: What a multipart body has beside the object's bytes.
HEAD_ROOM = 64 << 10


def is_storage(segments: tuple[str, ...]) -> bool:
    """Whether a path belongs to Cloud Storage."""
    return segments[:2] == ("storage", "v1") or segments[:3] in {
        ("upload", "storage", "v1"),
        ("download", "storage", "v1"),
        ("batch", "storage", "v1"),
    }


def is_quick_storage(request: Request) -> bool:
    """Whether a storage request is soon answered: no listing, no large body, none that needs a file."""
    match request.segments:
        case ("upload", *_):
            return "upload_id" not in request.query and request.body.size <= SMALL_BYTES + HEAD_ROOM
        case ("storage", "v1", "b", _, "o", _) | ("download", "storage", "v1", "b", _, "o", _):
            return True
    return False


def named_object(context: StorageContext, request: Request, beginning: bytes) -> str | None:
    """`BUCKET/NAME` of the object that a request is about; None when that is none, or cannot be known yet."""
    match request.segments:
        case ("storage", "v1", "b", _, "o", _, "copyTo" | "rewriteTo", "b", bucket, "o", name):
            return f"{bucket}/{name}"
        case ("storage", "v1", "b", bucket, "o", name, *_) | ("download", "storage", "v1", "b", bucket, "o", name):
            return f"{bucket}/{name}"
        case ("upload", "storage", "v1", "b", bucket, "o"):
            upload_id = request.query.get("upload_id")
            name_found = name_of_upload(context, upload_id) if upload_id else name_of_insert(request, beginning)
            return f"{bucket}/{name_found}" if name_found else None
    return None


def handle_storage(context: StorageContext, request: Request) -> Response:
    """Answer one request. Raises StorageError."""
    match request.method, *request.segments:
        case ["POST" | "PUT" | "DELETE", "upload", "storage", "v1", "b", bucket, "o"]:
            return upload(context, request, bucket)
        case ["GET" | "HEAD", "download", "storage", "v1", "b", bucket, "o", name]:
            return download(context, request, bucket, name)
        case ["GET" | "HEAD", "storage", "v1", "b", bucket, "o", name] if request.query.get("alt") == "media":
            return download(context, request, bucket, name)
        case ["GET" | "HEAD", "storage", "v1", "b", bucket, "o", name]:
            return objects.get_object(context, request, bucket, name)
        case ["PATCH", "storage", "v1", "b", bucket, "o", name]:
            return objects.patch_object(context, request, bucket, name)
        case ["DELETE", "storage", "v1", "b", bucket, "o", name]:
            return objects.delete_object(context, request, bucket, name)
        case ["POST", "storage", "v1", "b", bucket, "o", name, "compose"]:
            return composing.compose(context, request, bucket, name)
        case ["POST", "storage", "v1", "b", bucket, "o", name, "copyTo", "b", target_bucket, "o", target]:
            return composing.copy(context, request, (bucket, name), (target_bucket, target))
        case ["POST", "storage", "v1", "b", bucket, "o", name, "rewriteTo", "b", target_bucket, "o", target]:
            return composing.rewrite(context, request, (bucket, name), (target_bucket, target))
        case ["GET", "storage", "v1", "b", bucket, "o"]:
            return list_objects(context, request, bucket)
        case ["GET", "storage", "v1", "b", bucket, "iam"]:
            return iam.get_policy(context, bucket)
        case ["PUT", "storage", "v1", "b", bucket, "iam"]:
            return iam.set_policy(context, request, bucket)
        case ["GET", "storage", "v1", "b", bucket, "iam", "testPermissions"]:
            return iam.test_permissions(context, request, bucket)
        case [method, "storage", "v1", "b"] | [method, "storage", "v1", "b", _]:
            return _bucket(context, request, method)
    raise storage_unimplemented(f"{request.method} {request.raw_path}")


def _bucket(context: StorageContext, request: Request, method: str) -> Response:
    match method, *request.segments[3:]:
        case ["POST"]:
            return buckets.insert_bucket(context, request)
        case ["GET"]:
            return buckets.list_buckets(context, request)
        case ["GET", name]:
            return buckets.get_bucket(context, request, name)
        case ["PATCH", name]:
            return buckets.patch_bucket(context, request, name)
        case ["DELETE", name]:
            return buckets.delete_bucket(context, request, name)
    raise storage_unimplemented(f"{request.method} {request.raw_path}")
