"""Google's credentials, as Application Default Credentials are looked for: whether and where, never what they are.

Order: https://cloud.google.com/docs/authentication/application-default-credentials
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cxr.cloud.vertex.provider import GOOGLE
from cxr.doctor.findings import Finding, Level
from cxr.doctor.private_files import readable_by_others
from cxr.doctor.subject import Subject
from cxr.documents import parse_json

CHECK: Final = "google credentials"
LOGIN: Final = "gcloud auth application-default login"
VARIABLE: Final = "GOOGLE_APPLICATION_CREDENTIALS"


def google_credentials(subject: Subject) -> Iterator[Finding]:
    """The file that GOOGLE_APPLICATION_CREDENTIALS names, else the one that gcloud wrote."""
    named = subject.environment.get(VARIABLE)
    path = Path(named) if named else _well_known(subject)
    source = VARIABLE if named else "gcloud's own file"
    if not path.is_file():
        if named:
            yield Finding(Level.PROBLEM, CHECK, f"{VARIABLE} names {path}, which is no file", f"unset {VARIABLE}")
            return
        needed = subject.works_on(GOOGLE)
        words = "none found" + ("" if needed else "; only --on gcp takes them")
        yield Finding(Level.PROBLEM if needed else Level.NOTE, CHECK, words, LOGIN)
        return
    facts = {"source": source, "path": str(path)}
    try:
        kind = str(parse_json(path.read_text(encoding="utf-8"))["type"])
    except (OSError, ValueError, KeyError, TypeError):
        yield Finding(Level.PROBLEM, CHECK, f"{path} ({source}) is no credentials file", LOGIN, facts)
        return
    yield Finding(Level.OK, CHECK, f"found: {path} ({source}), {kind}", facts={**facts, "type": kind})
    yield from readable_by_others(CHECK, path)


def _well_known(subject: Subject) -> Path:
    folder = subject.environment.get("CLOUDSDK_CONFIG")
    return (Path(folder) if folder else subject.home / ".config" / "gcloud") / "application_default_credentials.json"
