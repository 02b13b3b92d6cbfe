"""Cloud Quotas v1: how many accelerators of each kind custom jobs may have in a region, on demand and as spot.

Source: https://cloud.google.com/docs/quotas/reference/rest/v1/projects.locations.services.quotaInfos; names of quotas
and metrics as the service gives them in its own errors (`CustomModelTrainingL4GPUsPerProjectPerRegion`,
`custom_model_training_nvidia_l4_gpus`). Simplified: of all quotas only these; nothing is held to them.
"""

from __future__ import annotations

from dataclasses import dataclass

from cxr.cloud.emulator.errors import Code, RpcError, invalid_argument, not_found, unimplemented
from cxr.cloud.emulator.http import Request
from cxr.cloud.emulator.project_api.circumstances import Circumstances
from cxr.cloud.emulator.project_numbers import project_number
from cxr.cloud.emulator.vertex_api.messages import JsonObject

SERVICE = "aiplatform.googleapis.com"
#: Where nothing else is said: enough for every job of this emulator.
GENEROUS = 64
REGIONS = ("us-central1", "us-east1", "us-east4", "us-west1", "europe-west1", "europe-west4", "asia-east1")
#: As in the quotas' ids -> as in the metrics.
ACCELERATORS = {
    "A100": "a100",
    "A10080GB": "a100_80gb",
    "H100": "h100",
    "L4": "l4",
    "P100": "p100",
    "P4": "p4",
    "T4": "t4",
    "V100": "v100",
}


@dataclass(frozen=True, slots=True)
class Quota:
    """One quota."""

    id: str
    metric: str
    title: str


def _quotas() -> dict[str, Quota]:
    made = {}
    for name, metric in ACCELERATORS.items():
        for kind, infix, words in (("", "", ""), ("Preemptible", "preemptible_", "preemptible ")):
            quota = Quota(
                f"CustomModelTraining{kind}{name}GPUsPerProjectPerRegion",
                f"{SERVICE}/custom_model_training_{infix}nvidia_{metric}_gpus",
                f"Custom model training {words}Nvidia {name} GPUs per region",
            )
            made[quota.id] = quota
    return made


QUOTAS = _quotas()


def answer(
    request: Request, project: str, location: str, service: str, path: tuple[str, ...], now: Circumstances
) -> JsonObject:
    """Everything below …/services/S/quotaInfos. Raises RpcError."""
    if location != "global":
        raise invalid_argument(f"Quotas are at locations/global, not {location}.", field="name")
    if request.method != "GET":
        raise unimplemented(f"quotaInfos.{request.method.lower()}")
    if service != SERVICE:
        raise RpcError(Code.NOT_FOUND, f"The emulator knows no quotas of {service}.")
    if path:
        if path[0] not in QUOTAS:
            raise not_found(f"Quota info {path[0]} of {service} was not found.")
        return _info(project, QUOTAS[path[0]], now)
    return _listed(request, project, now)


def _listed(request: Request, project: str, now: Circumstances) -> JsonObject:
    size, token = request.query.get("pageSize") or "0", request.query.get("pageToken") or "0"
    if not (size.isascii() and size.isdigit() and token.isascii() and token.isdigit()):
        raise invalid_argument("Invalid page size or token.", field="page_size")
    start, end = int(token), int(token) + (int(size) or 100)
    page: JsonObject = {"quotaInfos": [_info(project, quota, now) for quota in list(QUOTAS.values())[start:end]]}
    return page | ({"nextPageToken": str(end)} if end < len(QUOTAS) else {})


def _info(project: str, quota: Quota, now: Circumstances) -> JsonObject:
    limits = {**dict.fromkeys(REGIONS, GENEROUS), **now.quotas.get(quota.id, {})}
    return {
        "name": f"projects/{project_number(project)}/locations/global/services/{SERVICE}/quotaInfos/{quota.id}",
        "quotaId": quota.id,
        "metric": quota.metric,
        "service": SERVICE,
        "isPrecise": True,
        "containerType": "PROJECT",
        "dimensions": ["region"],
        "metricDisplayName": quota.title,
        "quotaDisplayName": quota.title,
        "metricUnit": "1",
        "quotaIncreaseEligibility": {"isEligible": True},
        "isConcurrent": True,
        "dimensionsInfos": [
            {"dimensions": {"region": region}, "details": {"value": str(limit)}, "applicableLocations": [region]}
            for region, limit in limits.items()
        ],
    }
