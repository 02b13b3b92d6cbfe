"""What a service refuses becomes a finding: which permission is missing, which API is off, what to type."""

from __future__ import annotations

import re
from typing import Final

from cxr.errors import CxrError
from cxr.storage.login_hints import GOOGLE_LOGIN

#: `Permission 'storage.buckets.getIamPolicy' denied …`, `… does not have storage.buckets.get access to …`.
_PERMISSION: Final = re.compile(
    r"\b([a-z]+\.[A-Za-z]+\.[A-Za-z]+)' denied|does not have ([a-z]+\.[A-Za-z]+\.[A-Za-z]+) access"
)
_SERVICE: Final = re.compile(r"\b([a-z]+\.googleapis\.com)\b")


def reason_of(error: CxrError, project: str) -> tuple[str, str]:
    """Why a request was refused, in words, and the next command."""
    original = error.__cause__
    if not is_forbidden(error):
        return error.message, error.hint or ""
    reason = str(getattr(original, "reason", None) or "")
    metadata = getattr(original, "metadata", None) or {}
    if reason == "SERVICE_DISABLED" or "has not been used in project" in error.message:
        found = _SERVICE.search(error.message)
        service = str(metadata.get("service") or (found[1] if found else "the API"))
        return f"{service} is not enabled in {project}", enable_line(project, service)
    found = _PERMISSION.search(error.message)
    permission = str(metadata.get("permission") or (found and (found[1] or found[2])) or "")
    if permission:
        return f"permission {permission} is missing", f"ask an owner of {project} for a role with {permission}"
    return error.message, error.hint or GOOGLE_LOGIN


def is_forbidden(error: CxrError) -> bool:
    """Whether the service answered 403: it knows who asks, and does not permit it."""
    return getattr(error.__cause__, "code", None) == 403


def enable_line(project: str, *services: str) -> str:
    """The line that enables APIs."""
    return f"gcloud services enable {' '.join(services)} --project {project}"
