"""What a request asks for, in the services' own names: `storage.objects.insert`, `aiplatform.customJobs.create`.

Source: the method ids of https://storage.googleapis.com/$discovery/rest?version=v1, which Google's storage testbench
uses as well.
"""

from __future__ import annotations

from collections.abc import Mapping

_ON_OBJECT = {"GET": "get", "HEAD": "get", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
_ON_ITEM = {"GET": "get", "DELETE": "delete", "PATCH": "patch"}
_ON_COLLECTION = {"GET": "list", "POST": "create"}
_ON_POLICY = {"GET": "getIamPolicy", "PUT": "setIamPolicy"}


def operation_name(method: str, segments: tuple[str, ...]) -> str:
    """The name; every request of an upload in pieces is an insert."""
    match segments:
        case ("upload", "storage", "v1", "b", _, "o"):
            return "storage.objects.insert"
        case ("storage", "v1", "b"):
            return {"GET": "storage.buckets.list", "POST": "storage.buckets.insert"}.get(method, "storage.other")
        case ("storage", "v1", "b", _):
            return f"storage.buckets.{_ON_OBJECT.get(method, method.lower())}"
        case ("storage", "v1", "b", _, "o"):
            return "storage.objects.list" if method == "GET" else "storage.objects.insert"
        case ("storage", "v1", "b", _, "o", _) | ("download", "storage", "v1", "b", _, "o", _):
            return f"storage.objects.{_ON_OBJECT.get(method, method.lower())}"
        case ("storage", "v1", "b", _, "o", _, "compose"):
            return "storage.objects.compose"
        case ("storage", "v1", "b", _, "o", _, "copyTo", *_):
            return "storage.objects.copy"
        case ("storage", "v1", "b", _, "o", _, "rewriteTo", *_):
            return "storage.objects.rewrite"
        case ("storage", "v1", "b", _, "iam", *last):
            return f"storage.buckets.{'testIamPermissions' if last else _ON_POLICY.get(method, method.lower())}"
        case ("v3", "projects", *path):
            return f"cloudresourcemanager.{_on('projects', method, path)}"
        case ("v1", "projects", _, "services", *path):
            return f"serviceusage.{_on('services', method, path)}"
        case ("v1", "projects", _, "services:batchGet"):
            return "serviceusage.services.batchGet"
        case ("v1", "projects", _, "locations", _, "services", _, "quotaInfos", *last):
            return f"cloudquotas.quotaInfos.{'get' if last else 'list'}"
        case ("v1", "projects", _, "builds", *path) | ("v1", "projects", _, "locations", _, "builds", *path):
            return f"cloudbuild.{_on('builds', method, path)}"
        case ("v1", "operations", "build", *_):
            return "cloudbuild.operations.get"
        case ("token",):
            return "oauth2.token"
        case ("v1" | "ui", "projects", _, "locations", _, *path) if path:
            return _vertex(method, path)
        case ("v2", "entries:list"):
            return "logging.entries.list"
        case ("storage" | "upload" | "download" | "batch", *_):
            return "storage.other"
    return "other"


def moves_bytes(method: str, segments: tuple[str, ...], query: Mapping[str, str]) -> bool:
    """Whether a request carries an object's bytes, or asks for them."""
    if segments[0] == "upload":
        return method != "DELETE" and (query.get("uploadType") != "resumable" or "upload_id" in query)
    return segments[0] == "download" or query.get("alt") == "media"


def _vertex(method: str, path: list[str]) -> str:
    last, _, verb = path[-1].partition(":")
    collections = [*path[:-1], last][::2]
    plain = _ON_ITEM if len(path) % 2 == 0 else _ON_COLLECTION
    return ".".join(("aiplatform", *collections, verb or plain.get(method, method.lower())))


def _on(collection: str, method: str, path: list[str]) -> str:
    verb = path[-1].partition(":")[2] if path else ""
    plain = _ON_ITEM if path else _ON_COLLECTION
    return f"{collection}.{verb or plain.get(method, method.lower())}"
