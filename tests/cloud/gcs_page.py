"""A page on a bucket of the emulator: planned, looked at, and what somebody else does there."""

from __future__ import annotations

from pathlib import Path

import requests
from PIL import Image

from cxr.cloud.hosting.files import Headers
from cxr.cloud.hosting.gcs_host import GcsHost
from cxr.cloud.hosting.plan import HostPlan, plan_page
from cxr.manifests.manifest import Manifest
from cxr.manifests.scan.folder import scan

REGION = "us-central1"


def plan(host: GcsHost, page: Path, prefix: str = "page/", *, public: bool = False) -> HostPlan:
    return plan_page(host, page, prefix, REGION, public=public)


def names(host: GcsHost) -> set[str]:
    return {one.name for one in host.objects("")}


def origin(host: GcsHost) -> str:
    return host.addresses("", "")[0].url


def browse(host: GcsHost, name: str) -> requests.Response:
    """As a browser does: without a token, taking gzip."""
    return requests.get(f"{origin(host)}{name}", timeout=120)


def put_plain(host: GcsHost, name: str, data: bytes = b"x", version: str = "absent") -> None:
    """A file of somebody else."""
    host.put(name, data, Headers("text/plain", "no-cache"), version)


def grant(host: GcsHost, member: str, role: str) -> None:
    policy = host._bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": role, "members": {member}})
    host._bucket.set_iam_policy(policy)


def dormant(host: GcsHost, member: str, role: str) -> None:
    """A bucket that grants somebody something, and prevents public access."""
    host.create(REGION)
    configure(host, prevention="inherited")
    grant(host, member, role)
    configure(host, prevention="enforced")


def configure(host: GcsHost, *, prevention: str | None = None, uniform: bool | None = None) -> None:
    bucket = host._client.get_bucket(host._bucket.name)
    if prevention is not None:
        bucket.iam_configuration.public_access_prevention = prevention
    if uniform is not None:
        bucket.iam_configuration.uniform_bucket_level_access_enabled = uniform
    bucket.patch()


def manifest_of(folder: Path) -> Manifest:
    for level, label in enumerate(("NORMAL", "PNEUMONIA")):
        (folder / label).mkdir(parents=True)
        Image.new("L", (8, 8), 90 * level).save(folder / label / "a.png")
    return scan(folder)
