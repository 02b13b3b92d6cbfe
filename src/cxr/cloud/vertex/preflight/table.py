"""The checks that are made of Google, in order."""

from __future__ import annotations

from typing import Final

from cxr.cloud.preflight import buckets as any_bucket
from cxr.cloud.preflight import data
from cxr.cloud.preflight.run import EVERY, ON_MACHINES, WITH_JOBS, Check
from cxr.cloud.preflight.subject import TRAININGS, Purpose
from cxr.cloud.vertex.preflight import buckets, hardware, project

CHECKS: Final = (
    Check("credentials", project.credentials, essential=True),
    Check("project", project.exists, EVERY - {Purpose.UPLOAD}, ("credentials",), essential=True),
    Check("apis", project.apis, EVERY - {Purpose.UPLOAD}, ("credentials",)),
    Check("region", hardware.region, WITH_JOBS),
    Check("bucket", any_bucket.exists, EVERY, ("credentials",), essential=True),
    Check("bucket-private", buckets.is_private, EVERY - {Purpose.UPLOAD}, ("bucket",)),
    Check("agents", buckets.agents, WITH_JOBS, ("project", "bucket")),
    Check("images", data.images, WITH_JOBS, ("bucket",), essential=True, quick=False),
    Check("data", data.rules, WITH_JOBS, quick=False),
    Check("budget", hardware.budget, frozenset({Purpose.AUTOML}), essential=True, quick=False),
    Check("machine", hardware.machine, ON_MACHINES, essential=True, quick=False),
    Check("price", hardware.price, TRAININGS, ("budget", "machine"), essential=True, quick=False),
    Check("quota", hardware.quota, ON_MACHINES, ("credentials", "machine")),
)
