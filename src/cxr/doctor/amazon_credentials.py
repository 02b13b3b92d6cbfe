"""Amazon's credentials, as boto3 looks for them: there or not, and where. Never what they are.

Order: https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html; roles of machines are not asked
for, since that is a request.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cxr.cloud.aws.provider import AMAZON
from cxr.doctor.findings import Finding, Level
from cxr.doctor.private_files import readable_by_others
from cxr.doctor.subject import Subject

CHECK: Final = "amazon credentials"
LOGIN: Final = "aws configure"
KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
#: Variables by which a role is taken: of a container, of a web identity.
ROLES: Final = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


def amazon_credentials(subject: Subject) -> Iterator[Finding]:
    """Keys in the environment, else a profile of the shared files, else a role's variable."""
    given = [name for name in KEYS if subject.environment.get(name)]
    if len(given) == 1:
        absent = next(name for name in KEYS if name not in given)
        yield Finding(Level.PROBLEM, CHECK, f"{given[0]} is set and {absent} is not", f"export {absent}=…")
        return
    if given:
        yield Finding(Level.OK, CHECK, "found: keys in the environment", facts={"source": "environment"})
        return
    yield from _profile(subject)


def _profile(subject: Subject) -> Iterator[Finding]:
    # In botocore's order.
    named = subject.environment.get("AWS_DEFAULT_PROFILE") or subject.environment.get("AWS_PROFILE")
    files = [_file(subject, "AWS_SHARED_CREDENTIALS_FILE", "credentials"), _file(subject, "AWS_CONFIG_FILE", "config")]
    profiles: dict[str, Path] = {}
    for path in files:
        try:
            profiles = {**dict.fromkeys(_sections(path), path), **profiles}
        except (configparser.Error, UnicodeDecodeError, OSError) as error:
            said = str(error).splitlines()[0]
            yield Finding(Level.PROBLEM, CHECK, f"{path} cannot be read: {said}", LOGIN)
            return
    wanted = named or "default"
    if wanted in profiles:
        facts = {"source": "profile", "profile": wanted, "path": str(profiles[wanted])}
        yield Finding(Level.OK, CHECK, f"found: profile {wanted} of {profiles[wanted]}", facts=facts)
        if files[0].is_file():
            yield from readable_by_others(CHECK, files[0])
    elif named:
        known = ", ".join(sorted(profiles)) or "none"
        words = f"AWS_PROFILE names {named}, which is not there (profiles: {known})"
        yield Finding(Level.PROBLEM, CHECK, words, f"aws configure --profile {named}")
    elif role := next((name for name in ROLES if subject.environment.get(name)), None):
        yield Finding(Level.OK, CHECK, f"found: a role, by {role}", facts={"source": role})
    else:
        needed = subject.works_on(AMAZON)
        words = "none found" + ("" if needed else "; only --on aws takes them")
        yield Finding(Level.PROBLEM if needed else Level.NOTE, CHECK, words, LOGIN)


def _file(subject: Subject, variable: str, name: str) -> Path:
    given = subject.environment.get(variable)
    return Path(given) if given else subject.home / ".aws" / name


def _sections(path: Path) -> list[str]:
    """The profiles of one shared file; in `config` all but the default are called "profile NAME"."""
    parser = configparser.RawConfigParser()
    parser.read(path, encoding="utf-8")
    return [name.removeprefix("profile ").strip() for name in parser.sections()]
