"""What Amazon's trainings are asked for and cost at most, and where they were launched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import pytest
from aws_site import AwsSite, moto_middle, new_site

from cxr.cloud.aws.jobs import worst_hours
from cxr.cloud.aws.names import job_place
from cxr.cloud.aws.offers import MAXIMUM_SECONDS, choose_hardware
from cxr.cloud.aws.sagemaker.requests import limits
from cxr.cloud.aws.sagemaker.tuning import parameter_ranges, submit_tune
from cxr.cloud.aws.trainings import plan_custom, plan_tune
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.seen import Seen
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.trainer.job import CustomOptions, TuneOptions
from cxr.errors import UsageError
from cxr.manifests.manifest import BLANK_ROW, Manifest, ManifestHeader, new_manifest
from cxr.settings import Target

ROLE = "arn:aws:iam::123456789012:role/trainer"
HERE = Connection(Target.AWS, "", "us-east-1", "bucket", "some/where", None, role=ROLE)
PAIR = choose_hardware("ml.g4dn.xlarge", replicas=2)
SPOT = choose_hardware("ml.g4dn.xlarge", spot=True)
#: What SageMaker bills beyond a timeout: 120 seconds between SIGTERM and the end.
GRACE_HOURS = 120 / 3600


SPACE = ({"id": "dropout", "kind": "double", "low": 0.1, "high": 0.5, "scale": "linear"},)


@pytest.fixture(scope="module")
def amazon() -> Iterator[AwsSite]:
    with moto_middle() as middle:
        yield new_site(middle)


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    rows = [
        BLANK_ROW
        | {"path": f"{split}/{label}.png", "label": label, "split": split, "patient": f"{split}{label}"}
        | {"sha256": hashlib.sha256(f"{split}{label}".encode()).hexdigest(), "width": 10, "height": 10, "size": 100}
        for split in ("train", "validation", "test")
        for label in ("NORMAL", "PNEUMONIA")
    ]
    return new_manifest(pd.DataFrame(rows), ManifestHeader(root="."))


def test_the_worst_case_has_the_seconds_after_the_timeout_of_all_machines(manifest: Manifest) -> None:
    plan = plan_custom(HERE, manifest, CustomOptions("cnn5", PAIR, timeout_hours=0.1))
    assert plan.cost.worst_hours == pytest.approx(0.1 + GRACE_HOURS)
    one = plan_custom(HERE, manifest, CustomOptions("cnn5", replace(PAIR, replicas=1), timeout_hours=0.1))
    assert plan.cost.worst_usd == pytest.approx(2 * one.cost.worst_usd)


def test_each_trial_has_them(manifest: Manifest) -> None:
    options = TuneOptions(CustomOptions("cnn5", replace(PAIR, replicas=1), timeout_hours=0.5), SPACE, trials=10)
    assert plan_tune(HERE, manifest, options).cost.worst_hours == pytest.approx(10 * (0.5 + GRACE_HOURS))


def test_an_attached_job_costs_at_most_what_its_plan_said() -> None:
    assert worst_hours(JobKind.CUSTOM, {"timeout_hours": 2}) == pytest.approx(2 + GRACE_HOURS)
    assert worst_hours(JobKind.TUNE, {"timeout_hours": 2, "trials": 3}) == pytest.approx(3 * (2 + GRACE_HOURS))
    assert worst_hours(JobKind.AUTOML, {"budget_hours": 2}) == 2


@pytest.mark.parametrize(("hours", "wait"), [(2, 4 * 3600), (400, MAXIMUM_SECONDS), (672, MAXIMUM_SECONDS)])
def test_a_spot_job_waits_as_long_again_but_never_longer_than_a_job_may_take(hours: float, wait: int) -> None:
    asked = limits(CustomOptions("cnn5", SPOT, timeout_hours=hours), "s3://bucket/jobs/x")
    assert asked["StoppingCondition"] == {"MaxRuntimeInSeconds": hours * 3600, "MaxWaitTimeInSeconds": wait}


@pytest.mark.parametrize("values", [range(31), ["x" * 257]], ids=["too-many", "too-long"])
def test_categories_that_sagemaker_refuses_are_refused_before(values: object) -> None:
    with pytest.raises(UsageError, match="SageMaker takes 30, of 256 characters"):
        parameter_ranges([{"id": "size", "kind": "discrete", "values": values}])


@pytest.mark.parametrize("folder", ["jobs/custom-1", "predictions/batch-1", "predictions/batch-1/answers"])
def test_a_job_tells_its_bucket_and_prefix_by_where_it_writes(folder: str) -> None:
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:transform-job/cxr-batch-1"
    place = job_place(HERE, Seen(arn, "RUNNING", output_url=f"s3://other/a/b/{folder}"))
    assert (place.region, place.bucket, place.prefix) == ("eu-west-1", "other", "a/b")


@pytest.mark.parametrize("spot", [False, True], ids=["on-demand", "spot"])
def test_trials_share_checkpoints_only_where_one_may_be_taken_back(
    amazon: AwsSite, manifest: Manifest, spot: bool
) -> None:
    where = amazon.connection(on=Target.AWS_LOCAL)
    if not spot:
        amazon.client("s3").create_bucket(Bucket=where.bucket)
    hardware = choose_hardware("ml.g4dn.xlarge", spot=spot)
    options = TuneOptions(CustomOptions("cnn5", hardware, timeout_hours=0.5), SPACE)
    made = submit_tune(plan_tune(where, manifest, options), manifest, options, on_step=lambda _: None)
    told = amazon.client("sagemaker").describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=made.resource.rsplit("/", 1)[-1]
    )["TrainingJobDefinition"]
    assert ("CheckpointConfig" in told) is spot
    assert told["EnableManagedSpotTraining"] is spot
