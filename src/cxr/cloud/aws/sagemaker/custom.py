"""Training jobs of SageMaker: the own trainer on one managed machine, or on several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cxr.cloud.aws.clients import InUseError, aws_errors, client
from cxr.cloud.aws.names import service_name, tags_of
from cxr.cloud.aws.offers import MAXIMUM_SECONDS
from cxr.cloud.aws.sagemaker import requests
from cxr.cloud.aws.sagemaker.job_kinds import find
from cxr.cloud.jobs.launching import Submitted
from cxr.cloud.jobs.seen import Seen
from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.cloud.trainer.job import CustomOptions, job_output_url
from cxr.cloud.trainer.plans import TrainerRules
from cxr.errors import NotAllowed, NotFound
from cxr.manifests.manifest import Manifest

#: Seconds that a job may go on after its timeout, and is billed for (CreateTrainingJob, StoppingCondition: SIGTERM
#: "delays job termination for 120 seconds"; DescribeTrainingJob, TrainingEndTime).
GRACE_SECONDS: Final = 120
#: StoppingCondition (28 days); AWS General Reference, SageMaker endpoints and quotas (trials of a tuning job: 750, at
#: once 100).
RULES: Final = TrainerRules(
    maximum_timeout_hours=MAXIMUM_SECONDS / 3600,
    maximum_trials=750,
    maximum_parallel=100,
    job="training job",
    tuning_job="tuning job",
    spot="spot capacity can be taken back: the job then waits for other capacity, as long again as its timeout, and "
    "goes on from its last checkpoint",
    overtime_hours=GRACE_SECONDS / 3600,
)


def submit_custom(
    plan: LaunchPlan, manifest: Manifest, options: CustomOptions, *, on_step: Callable[[str], None]
) -> Submitted:
    """Send the wheel, the manifest (and a weights file), create the job, return its ARN at once. An earlier job of the
    same plan has its name, and is returned instead."""
    if earlier := find_launched(plan):
        return Submitted(earlier.resource, found=True)
    role = requests.check_role(plan.connection)
    on_step("sending the trainer and the manifest")
    told = requests.hyperparameters(options, requests.send_inputs(plan, manifest, options))
    requests.check_requests(told)
    body: dict[str, Any] = {
        "TrainingJobName": service_name(plan),
        "AlgorithmSpecification": requests.container(options),
        "RoleArn": role,
        "HyperParameters": told,
        "InputDataConfig": requests.channels(plan, options),
        "OutputDataConfig": {"S3OutputPath": job_output_url(plan)},
        "ResourceConfig": requests.machines(options.hardware),
        **requests.limits(options, job_output_url(plan)),
        "Tags": tags_of(plan.labels),
    }
    try:
        with aws_errors("create the training job"):
            made = client(plan.connection, "sagemaker").create_training_job(**body)
    except InUseError:  # another process was quicker
        return Submitted(find(plan.connection, JobKind.CUSTOM, service_name(plan)).resource, found=True)
    except NotAllowed as error:
        raise requests.quota_words(error, options.hardware) from error
    return Submitted(str(made["TrainingJobArn"]))


def find_launched(plan: LaunchPlan) -> Seen | None:
    """The plan's job by its name, which nothing else can have."""
    try:
        return find(plan.connection, plan.kind, service_name(plan))
    except NotFound:
        return None
