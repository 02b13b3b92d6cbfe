"""The checks that are made of Amazon, in order."""

from __future__ import annotations

from functools import partial
from typing import Final

from cxr.cloud.aws.preflight import buckets, hardware, identity, predictions
from cxr.cloud.preflight import buckets as any_bucket
from cxr.cloud.preflight import data
from cxr.cloud.preflight.run import EVERY, ON_MACHINES, WITH_JOBS, Check
from cxr.cloud.preflight.subject import TRAININGS, Purpose

CHECKS: Final = (
    Check("credentials", identity.credentials, essential=True),
    Check("region", identity.region, WITH_JOBS, essential=True),
    Check("bucket", any_bucket.exists, EVERY, ("credentials",), essential=True),
    Check("bucket-private", buckets.is_private, EVERY - {Purpose.UPLOAD}, ("bucket",)),
    Check("role", identity.role, WITH_JOBS, ("credentials",)),
    Check("images", data.images, WITH_JOBS, ("bucket",), essential=True, quick=False),
    Check("data", partial(data.rules, automl=data.AUTOPILOT_RULES), WITH_JOBS, quick=False),
    Check("predictions", predictions.in_a_batch, frozenset({Purpose.AUTOML}), quick=False),
    Check("budget", hardware.budget, frozenset({Purpose.AUTOML}), essential=True, quick=False),
    Check("machine", hardware.machine, ON_MACHINES, essential=True, quick=False),
    Check("price", hardware.price, TRAININGS, ("budget", "machine"), essential=True, quick=False),
    Check("quota", hardware.quota, ON_MACHINES, ("credentials", "machine")),
)
