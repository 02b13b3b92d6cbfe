"""Where a cloud command works: on a server of this folder that stands for a cloud, or on that cloud."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxr.cloud.providers import provider_of
from cxr.errors import UsageError
from cxr.settings import Settings, Target
from cxr.storage import open_store
from cxr.storage.retrying import RetryingStore
from cxr.storage.transfer.haul import Haul

if TYPE_CHECKING:
    from cxr.cloud.provider import Provider

#: An emulator that a command has started ends by itself after this long without a request or a running job.
EMULATOR_IDLE_EXIT_S = 30 * 60.0
#: What Cloud Storage and S3 have in common: 3-63 of lower-case letters, digits, dash, underscore, dot; letter or digit
#: at both ends.
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
#: Plainer than Cloud Storage demands: the prefix is also part of paths in containers.
_PREFIX = re.compile(r"[A-Za-z0-9._/-]*")


@dataclass(frozen=True, slots=True)
class Connection:
    """A resolved target. `endpoint` is the origin of the running server that stands for the cloud, or None; `role` and
    `instance_profile` are as in the settings."""

    on: Target
    project: str
    region: str
    bucket: str
    prefix: str
    endpoint: str | None
    role: str = ""
    instance_profile: str = ""

    @property
    def provider(self) -> Provider:
        """The cloud that this is, or stands for."""
        return provider_of(self.on)

    @property
    def billed(self) -> bool:
        """Whether what is launched here costs money."""
        return self.on.billed

    @property
    def place(self) -> str:
        """Where that is, in words."""
        return f"{self.on} ({self.endpoint})" if self.endpoint else f"{self.on}"

    @property
    def base_url(self) -> str:
        """`gs://bucket/prefix` or `s3://bucket/prefix`: everything that cxr stores lies under it."""
        return f"{self.bucket_url}/{self.prefix}".rstrip("/")

    @property
    def bucket_url(self) -> str:
        """`gs://bucket` or `s3://bucket`."""
        return f"{self.provider.scheme}://{self.bucket}"

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
        """The store at `path` below the bucket and prefix."""
        return self.open(f"{self.base_url}/{path}".rstrip("/"), haul=haul)

    def open(self, url: str, *, haul: Haul | None = None) -> RetryingStore:
        """The store at any URL; one of this cloud is where this connection works."""
        haul = haul or Haul()
        return open_store(
            url,
            **self.provider.store_place(self),
            workers=haul.width,
            limits=haul.limits,
            retrier=haul.retrier,
            sessions=haul.sessions,
        )


def connect(settings: Settings) -> Connection:
    """Resolve the settings and make sure that the other end is there: start the server that stands for the cloud when
    it is not running, or find the cloud's credentials. Raises what `resolve` raises, and NotAllowed when there are no
    credentials.
    """
    provider = provider_of(settings.on)
    return provider.connect(provider.resolve(settings), settings)


def resolve(settings: Settings) -> Connection:
    """Which project, region, bucket and prefix are meant; nothing is started and nobody is asked.

    Raises UsageError when a cloud is meant without what it needs to be named, or a name is illegal.
    """
    return provider_of(settings.on).resolve(settings)


def is_region(name: str) -> bool:
    """Whether a location is one of Google's regions (and not a multi-region such as `us`)."""
    return re.fullmatch(r"[a-z]+-[a-z]+\d+", name) is not None


def required(settings: Settings, name: str, cloud: str) -> str:
    """A setting that a cloud cannot do without. Raises UsageError saying how it is given."""
    value = getattr(settings, name)
    if value:
        return str(value)
    flag = name.replace("_", "-")
    raise UsageError(
        f"no {flag} is set for {cloud}", hint=f"--{flag} NAME, CXR_{name.upper()}, or {name} = … in cxr.toml"
    )


def check_names(bucket: str, settings: Settings) -> None:
    """Raises UsageError for a bucket or a prefix that cannot be one."""
    if not _BUCKET_NAME.fullmatch(bucket):
        raise UsageError(
            f"{bucket!r} is not a legal bucket name",
            hint="3 to 63 lower-case letters, digits, dashes, underscores or dots, without gs:// or s3://",
        )
    if not _PREFIX.fullmatch(settings.prefix) or ".." in settings.prefix:
        raise UsageError(
            f"{settings.prefix!r} is not a legal prefix", hint="letters, digits, dots, dashes, underscores and slashes"
        )
