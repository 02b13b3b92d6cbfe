"""Where a cloud command works: on the emulator of this folder, or on Google."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

from cxr.errors import UsageError
from cxr.settings import Settings, Target
from cxr.storage import open_store
from cxr.storage.retrying import RetryingStore
from cxr.storage.transfer.haul import Haul

EMULATOR_PROJECT = "cxr-local"
EMULATOR_BUCKET = "cxr-local"
#: An emulator that a command has started ends by itself after this long without a request or a running job.
EMULATOR_IDLE_EXIT_S = 30 * 60.0
#: Cloud Storage naming: 3-63 of lower-case letters, digits, dash, underscore, dot; letter or digit at both ends.
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
#: Plainer than Cloud Storage demands: the prefix is also part of paths in containers.
_PREFIX = re.compile(r"[A-Za-z0-9._/-]*")


@dataclass(frozen=True, slots=True)
class Connection:
    """A resolved target. `endpoint` is the origin of the running emulator, or None."""

    on: Target
    project: str
    region: str
    bucket: str
    prefix: str
    endpoint: str | None

    @property
    def billed(self) -> bool:
        """Whether what is launched here costs money."""
        return self.on is not Target.EMULATOR

    @property
    def place(self) -> str:
        """Where that is, in words."""
        return f"{self.on} ({self.endpoint})" if self.endpoint else f"{self.on}"

    @property
    def base_url(self) -> str:
        """`gs://bucket/prefix`: everything that cxr stores lies under it."""
        return f"gs://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def images_url(self) -> str:
        """Where the images of a manifest lie."""
        return f"{self.base_url}/images"

    @property
    def vertex_endpoint(self) -> str:
        """The Vertex AI origin."""
        return self.endpoint or f"https://{self.region}-aiplatform.googleapis.com"

    @property
    def parent(self) -> str:
        """The resource name under which everything is made."""
        return f"projects/{self.project}/locations/{self.region}"

    def identity(self) -> dict[str, str]:
        """What makes two connections the same place (the emulator's port does not)."""
        return {
            "on": self.on,
            "project": self.project,
            "region": self.region,
            "bucket": self.bucket,
            "prefix": self.prefix,
        }

    def store(self, path: str = "", *, haul: Haul | None = None) -> RetryingStore:
        """The store at `gs://bucket/prefix/path`."""
        return self.open(f"{self.base_url}/{path}".rstrip("/"), haul=haul)

    def open(self, url: str, *, haul: Haul | None = None) -> RetryingStore:
        """The store at any URL; a gs:// one is where this connection works."""
        haul = haul or Haul()
        return open_store(
            url,
            endpoint=self.endpoint,
            project=self.project,
            workers=haul.width,
            limits=haul.limits,
            retrier=haul.retrier,
            sessions=haul.sessions,
        )


def connect(settings: Settings) -> Connection:
    """Resolve the settings and make sure that the other end is there: start the emulator when it is not running, or
    find Google's credentials. Raises what `resolve` raises, and NotAllowed when there are no credentials.
    """
    connection = resolve(settings)
    if connection.billed:
        from cxr.cloud.vertex.credentials import check_credentials

        check_credentials()
        return connection
    from cxr.cloud.emulator.process import ensure_running

    return replace(connection, endpoint=ensure_running(settings.emulator_dir, idle_exit_seconds=EMULATOR_IDLE_EXIT_S))


def resolve(settings: Settings) -> Connection:
    """Which project, region, bucket and prefix are meant; nothing is started and nobody is asked.

    Raises UsageError when Google is meant without project or bucket, or a name is illegal.
    """
    if settings.on is Target.EMULATOR:
        project, bucket = settings.project or EMULATOR_PROJECT, settings.bucket or EMULATOR_BUCKET
    else:
        if os.environ.get("STORAGE_EMULATOR_HOST"):
            raise UsageError(
                "STORAGE_EMULATOR_HOST is set: files would go to that server and jobs to Google",
                hint="unset STORAGE_EMULATOR_HOST, or work with --on emulator",
            )
        project, bucket = _required(settings.project, "project"), _required(settings.bucket, "bucket")
    _check_names(bucket, settings)
    return Connection(settings.on, project, settings.region, bucket, settings.prefix.strip("/"), None)


def is_region(name: str) -> bool:
    """Whether a location is one region (and not a multi-region such as `us`)."""
    return re.fullmatch(r"[a-z]+-[a-z]+\d+", name) is not None


def _required(value: str | None, name: str) -> str:
    if value:
        return value
    raise UsageError(
        f"no {name} is set for Google Cloud", hint=f"--{name} NAME, CXR_{name.upper()}, or {name} = … in cxr.toml"
    )


def _check_names(bucket: str, settings: Settings) -> None:
    if not _BUCKET_NAME.fullmatch(bucket):
        raise UsageError(
            f"{bucket!r} is not a legal bucket name",
            hint="3 to 63 lower-case letters, digits, dashes, underscores or dots, without gs://",
        )
    if not _PREFIX.fullmatch(settings.prefix) or ".." in settings.prefix:
        raise UsageError(
            f"{settings.prefix!r} is not a legal prefix", hint="letters, digits, dots, dashes, underscores and slashes"
        )
    if not is_region(settings.region):
        raise UsageError(f"{settings.region!r} is not a region", hint="a region looks like us-central1")
