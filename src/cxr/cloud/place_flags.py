"""The flags that lead a command to the place of a job, a build or a connection."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Protocol

from cxr.cloud.providers import provider_of
from cxr.settings import Target, load_settings


class Place(Protocol):
    """What a job, a build's record and a connection have in common."""

    @property
    def on(self) -> Target:
        """Which cloud, or which rehearsal of one."""

    @property
    def project(self) -> str:
        """Google's project or Amazon's account."""

    @property
    def region(self) -> str:
        """The region that the work runs in."""

    @property
    def bucket(self) -> str:
        """The bucket, without gs:// or s3://."""

    @property
    def prefix(self) -> str:
        """The folder in the bucket ("" for none)."""


def place_flags(place: Place, state_dir: Path | None = None) -> str:
    """The flags, each with a space before it, that a command needs to work at that place: those in which it differs
    from what cxr.toml, the environment and the defaults say."""
    usual = load_settings()
    provider = provider_of(place.on)
    pairs: list[tuple[str, object, object]] = [
        ("on", place.on, usual.on),
        ("project", place.project, usual.project or provider.usual.get("project", "")),
        ("region", place.region, usual.region or provider.default_region),
        ("bucket", place.bucket, usual.bucket or provider.usual.get("bucket")),
        ("prefix", place.prefix, usual.prefix.strip("/")),
        ("state-dir", state_dir or usual.state_dir, usual.state_dir),
    ]
    return "".join(f" --{name} {shlex.quote(str(there))}" for name, there, here in pairs if there != here)
