"""Why jobs of Vertex AI fail.

Sources: messages of Vertex AI as its users report them (github.com/GoogleCloudPlatform/vertex-ai-samples, issues 264
and 700), cloud.google.com/vertex-ai/docs, pages general/troubleshooting and training/understanding-training-service,
and google.rpc.Code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cxr.cloud.failures.cause import CONTAINERS, Cause, CauseTable
from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind

QUOTA_PAGE: Final = "https://console.cloud.google.com/iam-admin/quotas?project={project}"
_AGENT: Final = "service-PROJECT_NUMBER@gcp-sa-aiplatform.iam.gserviceaccount.com"
_CODE_AGENT: Final = "service-PROJECT_NUMBER@gcp-sa-aiplatform-cc.iam.gserviceaccount.com"
_GRANT: Final = (
    "gcloud storage buckets add-iam-policy-binding gs://{bucket} --member serviceAccount:{agent} --role {role}"
)

CAUSES: tuple[Cause, ...] = (
    # These two first: the message quotes the program, which may speak of anything.
    Cause(
        "out-of-memory",
        r"status of 137\b|out.of.memory|OOMKilled",
        "the program was killed, most likely because the machine's memory was full (exit status 137)",
        "{again} with a larger --machine",
        CONTAINERS,
        show_log=True,
    ),
    Cause(
        "program",
        r"exited with a non-?zero|non-?zero (exit )?(status|code)",
        "the program in the container failed{status}",
        "see the whole log: cxr cloud logs {job}",
        CONTAINERS,
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
        CONTAINERS,
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
        CONTAINERS,
    ),
    Cause(
        "preempted",
        r"preempt|spot (vm|instance).{0,40}(reclaim|stopp|terminat)",
        "the spot machine was taken back more often than the service restarts a job",
        "{again} without --spot",
        CONTAINERS,
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


def _facts(job: Job) -> Mapping[str, str]:
    container, said = job.kind in CONTAINERS, job.error
    metric = re.search(r"aiplatform\.googleapis\.com/([\w.-]+)|exceeded:\s*([\w.-]+)", said)
    account = re.search(r"[\w.-]+@[\w.-]+\.gserviceaccount\.com", said)
    return {
        "agent": account.group() if account else _CODE_AGENT if container else _AGENT,
        "role": "roles/storage.objectAdmin" if container else "roles/storage.objectViewer",
        "metric": f" {metric.group(1) or metric.group(2)}" if metric else "",
    }


GOOGLE: Final = CauseTable(CAUSES, _facts)
