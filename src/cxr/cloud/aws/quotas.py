"""How much may run at once: Service Quotas' numbers for SageMaker training jobs and for EC2.

Errors of the service are left to the caller; that a quota is not told is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Codes of EC2's quotas, in vCPUs of running instances, by what a family's name begins with: on demand, and spot
#: (EC2 user guide, "Amazon EC2 instance type quotas"; the letter of the family decides).
EC2_CODES: Mapping[str, tuple[str, str]] = {
    "g": ("L-DB2E81BA", "L-3819A6DF"),
    "p": ("L-417A185B", "L-7212CCBC"),
    "m": ("L-1216C47A", "L-34B43A08"),
    "c": ("L-1216C47A", "L-34B43A08"),
}


def training_quota_name(machine: str, spot: bool) -> str:
    """The name of the quota of instances of a type in training jobs: SageMaker's codes are not derived from it."""
    return f"{machine} for {'spot ' if spot else ''}training job usage"


def training_quota(client: Any, machine: str, spot: bool) -> float | None:
    """Instances of the type `machine` (`ml.…`) that may train at once in the region of `client`, a boto3 client of
    service-quotas; None when the service tells none."""
    wanted = training_quota_name(machine, spot)
    for page in client.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker"):
        for quota in page["Quotas"]:
            if quota["QuotaName"] == wanted:
                return _value(quota)
    return None


def ec2_quota(client: Any, spot: bool, *, machine: str = "g4dn.xlarge") -> float | None:
    """vCPUs that instances of the group of `machine` (for g4dn, g5, g6: "G and VT") may have at once in the region of
    `client`, a boto3 client of service-quotas; None when the service tells none, or for a group that is not known."""
    codes = EC2_CODES.get(machine[:1])
    if codes is None:
        return None
    try:
        answer = client.get_service_quota(ServiceCode="ec2", QuotaCode=codes[spot])
    except client.exceptions.NoSuchResourceException:
        return None
    return _value(answer["Quota"])


def _value(quota: Mapping[str, Any]) -> float | None:
    value = quota.get("Value")
    return None if value is None else float(value)
