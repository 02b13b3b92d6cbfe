"""A bucket's access policy: read, replaced, asked for permissions. It guards the objects' own addresses
(`public.py`); on the JSON API whoever asks has every permission.

Source: https://cloud.google.com/storage/docs/json_api/v1/buckets/getIamPolicy (and setIamPolicy, testIamPermissions);
what a new bucket has, https://cloud.google.com/storage/docs/access-control/iam-roles#legacy-roles.
"""

from __future__ import annotations

import json
import re
import sqlite3
from typing import Any

from cxr.cloud.emulator.errors import StorageError, invalid
from cxr.cloud.emulator.http import Request, Response, json_response
from cxr.cloud.emulator.state.database import find_document, put_document
from cxr.cloud.emulator.storage_api.buckets import find_bucket, json_body, policy_name
from cxr.cloud.emulator.storage_api.context import Row, StorageContext

PUBLIC = frozenset({"allUsers", "allAuthenticatedUsers"})
#: Roles with storage.objects.get.
READERS = frozenset(
    f"roles/storage.{name}"
    for name in ("objectViewer", "objectUser", "objectAdmin", "admin", "legacyObjectReader", "legacyObjectOwner")
)
_ROLE = re.compile(r"roles/[A-Za-z0-9_.]+|(?:projects|organizations)/[^/]+/roles/[A-Za-z0-9_.]+")
_MEMBER = re.compile(
    r"(?:user|serviceAccount|group|domain|projectOwner|projectEditor|projectViewer|principal|principalSet"
    r"|deleted:(?:user|serviceAccount|group)):\S+"
)
_FIELDS = frozenset({"kind", "resourceId", "version", "etag", "bindings"})


def get_policy(context: StorageContext, name: str) -> Response:
    """GET /storage/v1/b/BUCKET/iam."""
    connection = context.database.read
    return json_response(_policy(connection, find_bucket(connection, name)))


def set_policy(context: StorageContext, request: Request, name: str) -> Response:
    """PUT /storage/v1/b/BUCKET/iam. 400 for what is no policy, 412 for another etag or a public member where public
    access is prevented."""
    wanted = json_body(request)
    unknown = sorted(set(wanted) - _FIELDS)
    if unknown:
        raise invalid(f"Unknown name {unknown[0]!r}")
    bindings = wanted.get("bindings", [])
    _check_bindings(bindings)
    etag, version = wanted.get("etag", ""), wanted.get("version", 1)
    if not isinstance(etag, str | None):
        raise invalid("Invalid value for etag: a text is needed.")
    if isinstance(version, bool) or not isinstance(version, int) or version not in (0, 1, 3):
        raise invalid("Invalid value for version: 0, 1 or 3 is needed.")
    with context.database.write() as connection:
        bucket = find_bucket(connection, name)
        policy = _policy(connection, bucket)
        if etag not in (None, "", policy["etag"]):
            raise StorageError(412, "conditionNotMet", "The policy was changed meanwhile: its etag is another one.")
        if _is_private(bucket) and any(PUBLIC & set(binding["members"]) for binding in bindings):
            raise StorageError(412, "conditionNotMet", "Public access prevention is enforced for this bucket.")
        number = int(policy["etag"][2:-1]) + 1
        stored = {"version": version or 1, "etag": f"CA{number}=", "bindings": bindings}
        put_document(connection, policy_name(name), stored)
        answer = _policy(connection, bucket)
    return json_response(answer)


def test_permissions(context: StorageContext, request: Request, name: str) -> Response:
    """GET /storage/v1/b/BUCKET/iam/testPermissions: whoever asks has them all."""
    find_bucket(context.database.read, name)
    wanted = request.values("permissions")
    if not wanted:
        raise invalid("Required parameter: permissions")
    if bad := [text for text in wanted if not re.fullmatch(r"storage\.\w+\.\w+", text)]:
        raise invalid(f"Invalid permission: {bad[0]!r}")
    return json_response({"kind": "storage#testIamPermissionsResponse", "permissions": wanted})


def is_public(connection: sqlite3.Connection, bucket: Row) -> bool:
    """Whether everybody may read the bucket's objects: a policy that says so counts for nothing while public access is
    prevented (https://cloud.google.com/storage/docs/public-access-prevention). Conditions are taken as not met."""
    bindings = _policy(connection, bucket)["bindings"]
    granted = any(
        binding["role"] in READERS and "allUsers" in binding["members"] and not binding.get("condition")
        for binding in bindings
    )
    return granted and not _is_private(bucket)


def _policy(connection: sqlite3.Connection, bucket: Row) -> dict[str, Any]:
    stored = find_document(connection, policy_name(bucket["name"])) or _first(bucket["project"])
    return {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{bucket['name']}", **stored}


def _first(project: str) -> dict[str, Any]:
    owners = [f"projectEditor:{project}", f"projectOwner:{project}"]
    viewers = [f"projectViewer:{project}"]
    bindings = [
        {"role": "roles/storage.legacyBucketOwner", "members": owners},
        {"role": "roles/storage.legacyBucketReader", "members": viewers},
        {"role": "roles/storage.legacyObjectOwner", "members": owners},
        {"role": "roles/storage.legacyObjectReader", "members": viewers},
    ]
    return {"version": 1, "etag": "CA1=", "bindings": bindings}


def _is_private(bucket: Row) -> bool:
    configuration = json.loads(bucket["attributes"]).get("iamConfiguration", {})
    return bool(configuration.get("publicAccessPrevention") == "enforced")


def _check_bindings(bindings: Any) -> None:
    if not isinstance(bindings, list) or not all(isinstance(binding, dict) for binding in bindings):
        raise invalid("Invalid value for bindings: a list of objects is needed.")
    for binding in bindings:
        if unknown := sorted(set(binding) - {"role", "members", "condition"}):
            raise invalid(f"Unknown name {unknown[0]!r} in a binding")
        if not _ROLE.fullmatch(str(binding.get("role", ""))):
            raise invalid(f"Invalid role: {binding.get('role')!r}")
        members = binding.get("members")
        if not isinstance(members, list):
            raise invalid("Invalid value for members: a list is needed.")
        for member in members:
            if not isinstance(member, str) or not (member in PUBLIC or _MEMBER.fullmatch(member)):
                raise invalid(f"Invalid member: {member!r}")
