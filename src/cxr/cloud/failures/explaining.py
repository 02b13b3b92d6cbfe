"""Why a job failed, in plain words with the next thing to do: from the table of the cloud that ran it.

The service's own message is always shown beside the words. The first entry that fits counts, so the narrow ones stand
before the wide ones.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from cxr.cloud.failures.cause import CONTAINERS, CauseTable
from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.providers import provider_of

#: Name of a cloud -> module and name of its table.
TABLES: Final[Mapping[str, tuple[str, str]]] = {
    "Google": ("cxr.cloud.failures.google", "GOOGLE"),
    "Amazon": ("cxr.cloud.failures.amazon", "AMAZON"),
}
#: How the clouds write a program's exit status: `exited with a non-zero status of 1`, `ExitCode 1`, `Exit Code: 1`.
_STATUS: Final = re.compile(
    r"(?:non-?zero (?:exit )?(?:status|code)(?: of)?|exit ?code:?|exit status:?) (\d+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Plain words, the next step, and whether the log says more. `cause` is "" when no entry of the table fits."""

    cause: str
    words: str
    next_step: str
    show_log: bool


def explain(job: Job) -> Explanation:
    """Why a job has ended without a result. Knows nothing that is not in the journal."""
    table = _table_of(job)
    facts = {**_facts(job), **table.facts(job)}
    if job.state == "CANCELLED":
        return Explanation("cancelled", "it was cancelled; what it had used is billed", facts["again"], False)
    if job.state == "GONE":
        return Explanation("gone", job.error or "the service no longer knows it", facts["again"], False)
    if job.state == "EXPIRED":
        words = "it waited for a machine longer than it was allowed to"
        return Explanation("expired", words, f"try --spot, another --region or --machine: {facts['again']}", False)
    said = f"{job.progress.get('error_code', '')}: {job.error}"
    for cause in table.causes:
        if (not cause.kinds or job.kind in cause.kinds) and re.search(cause.pattern, said, re.IGNORECASE):
            words, step = cause.words.format(**facts), cause.next_step.format(**facts)
            return Explanation(cause.name, words, step, cause.show_log)
    return Explanation("", "", f"cxr cloud status {job.id}", job.kind in CONTAINERS)


def _table_of(job: Job) -> CauseTable:
    module, name = TABLES[provider_of(job.on).name]
    return cast(CauseTable, getattr(importlib.import_module(module), name))


def _facts(job: Job) -> dict[str, str]:
    asked = job.details
    accelerator = str(asked.get("accelerator") or "").removeprefix("NVIDIA_").removeprefix("TESLA_")
    status = _STATUS.search(job.error)
    hours = asked.get("timeout_hours")
    return {
        "job": job.id,
        "kind": job.kind,
        "machine": str(asked.get("machine", "machine of that type")),
        "accelerator": accelerator or str(asked.get("machine", "machine of that type")),
        "region": job.region,
        "project": job.project,
        "bucket": job.bucket,
        "status": f" (exit status {status.group(1)})" if status else "",
        "limit": f" of {float(hours):g} hours" if hours else "",
        "again": _launch_command(job),
    }


def _launch_command(job: Job) -> str:
    if job.attached:
        return "launch it again where it came from"
    if job.kind is JobKind.IMPORT:
        return "cxr cloud dataset"
    if job.kind is JobKind.BATCH:
        return "run the same cxr cloud evaluate command again"
    return f"run the same cxr cloud train {job.kind} command again"
