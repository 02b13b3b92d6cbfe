"""Why a job failed, in plain words with the next thing to do: a table from the service's messages.

The service's own message is always shown beside the words. The first entry that fits counts, so the narrow ones stand
before the wide ones. Sources: messages of Vertex AI as its users report them
(github.com/GoogleCloudPlatform/vertex-ai-samples, issues 264 and 700), cloud.google.com/vertex-ai/docs, pages
general/troubleshooting and training/understanding-training-service, and google.rpc.Code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cxr.cloud.journal import Job
from cxr.cloud.plans import JobKind

QUOTA_PAGE = "https://console.cloud.google.com/iam-admin/quotas?project={project}"
_AGENT = "service-PROJECT_NUMBER@gcp-sa-aiplatform.iam.gserviceaccount.com"
_CODE_AGENT = "service-PROJECT_NUMBER@gcp-sa-aiplatform-cc.iam.gserviceaccount.com"
_GRANT = "gcloud storage buckets add-iam-policy-binding gs://{bucket} --member serviceAccount:{agent} --role {role}"


@dataclass(frozen=True, slots=True)
class Cause:
    """One line of the table. `pattern` is searched for in `CODE: message`, case aside; `words` and `next_step` may name
    {job}, {kind}, {machine}, {accelerator}, {region}, {project}, {bucket}, {agent}, {metric}, {status}, {limit} and
    {again} (the command that launches anew). `kinds`: for which kinds of job; empty for all. `show_log`: the last
    lines of the log say more."""

    name: str
    pattern: str
    words: str
    next_step: str
    kinds: tuple[JobKind, ...] = ()
    show_log: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """Plain words, the next step, and whether the log says more. `cause` is "" when no entry of the table fits."""

    cause: str
    words: str
    next_step: str
    show_log: bool


_CONTAINERS = (JobKind.CUSTOM, JobKind.TUNE)

CAUSES: tuple[Cause, ...] = (
    # These two first: the message quotes the program, which may speak of anything.
    Cause(
        "out-of-memory",
        r"status of 137\b|out.of.memory|OOMKilled",
        "the program was killed, most likely because the machine's memory was full (exit status 137)",
        "{again} with a larger --machine",
        _CONTAINERS,
        show_log=True,
    ),
    Cause(
        "program",
        r"exited with a non-?zero|non-?zero (exit )?(status|code)",
        "the program in the container failed{status}",
        "see the whole log: cxr cloud logs {job}",
        _CONTAINERS,
        show_log=True,
    ),
    Cause(
        "quota",
        r"quota metrics? exceed|quotas? (are|is|was|were) exceeded|exceeded? (the )?quota|quota (limit )?exceeded"
        r"|exceeds the allowed maximum|quota failure",
        "the project's quota{metric} is used up or too small",
        f"ask for more at {QUOTA_PAGE} or wait for other jobs to end, then {{again}}",
    ),
    Cause(
        "concurrent-automl",
        r"RESOURCE_EXHAUSTED.*(concurrent|too many).*(train|pipeline|job)",
        "too many AutoML trainings run in this project at once",
        "wait for one to end (cxr cloud jobs --refresh), then {again}",
        (JobKind.AUTOML,),
    ),
    Cause(
        "stock-out",
        r"RESOURCE_EXHAUSTED|stock.?out|resources are insufficient|insufficient (resources|capacity)"
        r"|not enough resources|currently unavailable in|does not have enough (resources|capacity)",
        "no {accelerator} is left in {region} at this moment",
        "try --spot, another --region or --machine, or ask for capacity when it comes (FLEX_START): {again}",
    ),
    Cause(
        "image-pull",
        r"(pull|find|fetch|access|download).{0,40}(container )?image|image.{0,60}(not found|does not exist|denied|pull)"
        r"|ErrImagePull|ImagePullBackOff|manifest unknown",
        "the container image cannot be pulled",
        "check the image's name and that the service may read it, then {again} with --image IMAGE",
        _CONTAINERS,
    ),
    Cause(
        "service-agent",
        r"service agent|gcp-sa-aiplatform|PERMISSION_DENIED|permission.{0,20}denied|does not have (storage|permission)"
        r"|storage\.(objects|buckets)\.(get|list|create)",
        "the service's own account ({agent}) may not use the bucket",
        f"{_GRANT}, then {{again}}",
    ),
    Cause(
        "timeout",
        r"DEADLINE_EXCEEDED|ran longer than its timeout|timed? ?out",
        "the job was ended at its timeout{limit}",
        "{again} with a larger --timeout-hours",
        _CONTAINERS,
    ),
    Cause(
        "preempted",
        r"preempt|spot (vm|instance).{0,40}(reclaim|stopp|terminat)",
        "the spot machine was taken back more often than the service restarts a job",
        "{again} without --spot",
        _CONTAINERS,
    ),
    Cause(
        "too-few-images",
        r"(not enough|at least|too few|fewer than|minimum).{0,60}(image|item|example|annotation|label|data)",
        "the dataset has too few images, of some label or in some split",
        "look at the counts: cxr data check; add images or labels, split and upload again, then {again}",
        (JobKind.AUTOML, JobKind.IMPORT),
    ),
    Cause(
        "nothing-imported",
        r"(no|zero|0) (valid |importable )?(item|image|line|file|row)|import(ed)?.{0,40}(fail|nothing)"
        r"|invalid (csv|json)",
        "the import took nothing: the import file or the images it names cannot be read",
        "cxr cloud upload, then cxr cloud dataset: it imports again",
        (JobKind.IMPORT,),
    ),
    Cause(
        "all-trials",
        r"(trials?).{0,40}(fail|infeasible)|max_failed_trial",
        "too many trials of the tuning failed",
        "see why: cxr cloud logs {job} --trial 1",
        (JobKind.TUNE,),
        show_log=True,
    ),
    Cause(
        "not-found",
        r"NOT_FOUND|no such object|does not exist",
        "something that the job needs is not there any more",
        "send it again: cxr cloud upload, then {again}",
    ),
    Cause(
        "service",
        r"INTERNAL|UNAVAILABLE|internal error",
        "the service failed by its own fault",
        "{again}; if it happens twice: https://status.cloud.google.com",
    ),
)


def explain(job: Job) -> Explanation:
    """Why a job has ended without a result. Knows nothing that is not in the journal."""
    facts = _facts(job)
    if job.state == "CANCELLED":
        return Explanation("cancelled", "it was cancelled; what it had used is billed", facts["again"], False)
    if job.state == "GONE":
        return Explanation("gone", job.error or "the service no longer knows it", facts["again"], False)
    if job.state == "EXPIRED":
        words = "it waited for a machine longer than it was allowed to"
        return Explanation("expired", words, f"try --spot, another --region or --machine: {facts['again']}", False)
    said = f"{job.progress.get('error_code', '')}: {job.error}"
    for cause in CAUSES:
        if (not cause.kinds or job.kind in cause.kinds) and re.search(cause.pattern, said, re.IGNORECASE):
            words, step = cause.words.format(**facts), cause.next_step.format(**facts)
            return Explanation(cause.name, words, step, cause.show_log)
    return Explanation("", "", f"cxr cloud status {job.id}", job.kind in _CONTAINERS)


def _facts(job: Job) -> dict[str, str]:
    asked, said = job.details, job.error
    container = job.kind in _CONTAINERS
    accelerator = str(asked.get("accelerator") or "").removeprefix("NVIDIA_").removeprefix("TESLA_")
    metric = re.search(r"aiplatform\.googleapis\.com/([\w.-]+)|exceeded:\s*([\w.-]+)", said)
    status = re.search(r"non-?zero (?:exit )?(?:status|code)(?: of)? (\d+)", said, re.IGNORECASE)
    account = re.search(r"[\w.-]+@[\w.-]+\.gserviceaccount\.com", said)
    hours = asked.get("timeout_hours")
    agent = account.group() if account else _CODE_AGENT if container else _AGENT
    return {
        "job": job.id,
        "kind": job.kind,
        "machine": str(asked.get("machine", "machine of that type")),
        "accelerator": accelerator or str(asked.get("machine", "machine of that type")),
        "region": job.region,
        "project": job.project,
        "bucket": job.bucket,
        "agent": agent,
        "role": "roles/storage.objectAdmin" if container else "roles/storage.objectViewer",
        "metric": f" {metric.group(1) or metric.group(2)}" if metric else "",
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
