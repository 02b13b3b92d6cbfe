"""Quotas, off unless the settings say otherwise: jobs of AutoML at a time, and submissions a minute.

The service's defaults are 5 AutoML jobs and 60 submissions of jobs and long-running operations a minute, each for a
project and a region (https://cloud.google.com/vertex-ai/docs/quotas). Both are refused with 429 RESOURCE_EXHAUSTED; the
words of the first are those that users of custom training report, the shape of the second is that of all Google APIs
(https://cloud.google.com/docs/quotas/troubleshoot).
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque

from cxr.cloud.emulator.errors import Code, RpcError
from cxr.cloud.emulator.project_numbers import project_number
from cxr.cloud.emulator.vertex_api.automl_task import TASK
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext

WINDOW_SECONDS = 60.0
AUTOML_METRIC = "aiplatform.googleapis.com/automl_image_training_jobs"
SUBMISSION_METRIC = "aiplatform.googleapis.com/job_or_lro_submission_requests"
SUBMISSION_LIMIT = "Job or LRO submission requests per minute per region"


class Quotas:
    """What is used up, of one emulator."""

    def __init__(self, context: VertexContext) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._submissions: dict[str, deque[float]] = defaultdict(deque)

    def check(self, call: Call) -> None:
        """Raise 429 when a call would exceed a quota; a submission that passes counts."""
        settings = self._context.settings
        if settings.quota_operations_per_minute is not None and _submits(call):
            self._check_submissions(call, settings.quota_operations_per_minute)
        if settings.quota_automl_jobs is not None and _is_automl(call):
            self._check_automl(call, settings.quota_automl_jobs)

    def _check_submissions(self, call: Call, limit: int) -> None:
        moment = time.monotonic()
        with self._lock:
            recent = self._submissions[call.parent]
            while recent and recent[0] <= moment - WINDOW_SECONDS:
                recent.popleft()
            if len(recent) < limit:
                recent.append(moment)
                return
        raise _too_fast(call, limit)

    def _check_automl(self, call: Call, limit: int) -> None:
        row = self._context.read.execute(
            "SELECT COUNT(*) AS jobs FROM jobs WHERE kind='automl' AND phase<>'done' AND name>? AND name<?",
            (f"{call.name}/", f"{call.name}0"),
        ).fetchone()
        if row["jobs"] >= limit:
            raise RpcError(Code.RESOURCE_EXHAUSTED, f"The following quota metrics exceed quota limits: {AUTOML_METRIC}")


def _submits(call: Call) -> bool:
    """Whether a call makes a job or a long-running operation."""
    if call.method == "DELETE":
        return True
    return call.method == "POST" and call.verb in {"", "import", "export", "upload", "copy", "deployModel"}


def _is_automl(call: Call) -> bool:
    definition = call.body.get("trainingTaskDefinition", call.body.get("training_task_definition"))
    return call.method == "POST" and call.path == ("trainingPipelines",) and definition == TASK


def _too_fast(call: Call, limit: int) -> RpcError:
    consumer = project_number(call.project)
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {
            "service": "aiplatform.googleapis.com",
            "consumer": f"projects/{consumer}",
            "quota_metric": SUBMISSION_METRIC,
            "quota_limit": "JobOrLroSubmissionRequestsPerMinutePerProjectPerRegion",
            "quota_limit_value": str(limit),
            "quota_location": call.location,
        },
    }
    return RpcError(
        Code.RESOURCE_EXHAUSTED,
        f"Quota exceeded for quota metric 'Job or LRO submission requests' and limit '{SUBMISSION_LIMIT}' of service "
        f"'aiplatform.googleapis.com' for consumer 'project_number:{consumer}'.",
        details=[info],
    )
