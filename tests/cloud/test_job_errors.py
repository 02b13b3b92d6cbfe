"""The service's messages in plain words: each cause, with the next command; what is not known stays as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cxr.cloud.failures.explaining import explain
from cxr.cloud.failures.google import CAUSES
from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind
from cxr.settings import Target

DETAILS = {"machine": "g2-standard-4", "accelerator": "NVIDIA_L4", "gpus": 1, "timeout_hours": 2.0}


def failed(kind: JobKind, message: str, code: str = "", **changes: Any) -> Job:
    plain = Job(f"{kind}-1", kind, Target.GCP, "my-project", "us-central1", "my-bucket", "cxr", "f" * 64, "")
    changes = {"state": "FAILED", "error": message, "progress": {"error_code": code}, "details": DETAILS} | changes
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("kind", "code", "message", "cause", "words", "step"),
    [
        (JobKind.CUSTOM, "RESOURCE_EXHAUSTED", "Resources are insufficient in region: us-central1. Please try a "
         "different region", "stock-out", "no L4 is left in us-central1", "FLEX_START"),
        (JobKind.CUSTOM, "RESOURCE_EXHAUSTED", "The following quota metrics exceed quota limits: "
         "aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus", "quota",
         "quota custom_model_training_nvidia_l4_gpus", "quotas?project=my-project"),
        (JobKind.AUTOML, "RESOURCE_EXHAUSTED", "The following quotas are exceeded: AutoMLImageTrainingJobs", "quota",
         "AutoMLImageTrainingJobs", "quotas?project=my-project"),
        (JobKind.CUSTOM, "INVALID_ARGUMENT", "The replica workerpool0-0 exited with a non-zero status of 1. To find "
         "out more about why your job exited please check the logs: quota exceeded", "program", "exit status 1",
         "cxr cloud logs custom-1"),
        (JobKind.CUSTOM, "INVALID_ARGUMENT", "The replica workerpool0-0 exited with a non-zero status of 137.",
         "out-of-memory", "memory", "larger --machine"),
        (JobKind.AUTOML, "PERMISSION_DENIED", "service-42@gcp-sa-aiplatform.iam.gserviceaccount.com does not have "
         "storage.objects.get access to my-bucket", "service-agent", "service-42@gcp-sa-aiplatform",
         "gcloud storage buckets add-iam-policy-binding gs://my-bucket --member serviceAccount:service-42@"),
        (JobKind.CUSTOM, "INVALID_ARGUMENT", "Unable to pull the image docker.io/x: manifest unknown", "image-pull",
         "cannot be pulled", "--image"),
        (JobKind.CUSTOM, "DEADLINE_EXCEEDED", "The job ran longer than its timeout.", "timeout", "of 2 hours",
         "--timeout-hours"),
        (JobKind.AUTOML, "INVALID_ARGUMENT", "Not enough images: label NORMAL has 3.", "too-few-images", "too few",
         "cxr data check"),
        (JobKind.IMPORT, "INVALID_ARGUMENT", "No valid items were found in the import file.", "nothing-imported",
         "import took nothing", "cxr cloud dataset"),
        (JobKind.TUNE, "INTERNAL", "Too many trials have failed.", "all-trials", "too many trials", "--trial 1"),
        (JobKind.BATCH, "INTERNAL", "Internal error", "service", "by its own fault", "status.cloud.google.com"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)  # fmt: skip
def test_a_message_is_explained(kind: JobKind, code: str, message: str, cause: str, words: str, step: str) -> None:
    explanation = explain(failed(kind, message, code))
    assert explanation.cause == cause
    assert words in explanation.words
    assert step in explanation.next_step


@pytest.mark.parametrize("state", ["CANCELLED", "GONE", "EXPIRED"])
def test_an_end_that_is_no_failure_is_explained_by_its_state(state: str) -> None:
    assert explain(failed(JobKind.CUSTOM, "", state=state)).cause == state.lower()


def test_an_unknown_message_is_left_to_speak_for_itself() -> None:
    explanation = explain(failed(JobKind.AUTOML, "flux capacitor misaligned"))
    assert (explanation.cause, explanation.words) == ("", "")
    assert explanation.next_step == "cxr cloud status automl-1"


def test_every_entry_of_the_table_can_be_told_of_every_job_that_it_is_for() -> None:
    for cause in CAUSES:
        for kind in cause.kinds or tuple(JobKind):
            for details in (DETAILS, {}):
                assert "{" not in explain(failed(kind, cause.name, details=details)).next_step
    assert len({cause.name for cause in CAUSES}) == len(CAUSES)


def test_an_attached_job_is_not_told_to_be_launched_by_cxr() -> None:
    explanation = explain(failed(JobKind.CUSTOM, "stockout", attached=True))
    assert "launch it again where it came from" in explanation.next_step
