"""What runs left on Amazon: found by tag and folder, priced, deleted; what is at work or nobody's of ours stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')

from aws_site import ROLE, AwsSite, moto_middle, new_site
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID

from cxr.cloud.aws.clients import client
from cxr.cloud.aws.leftovers import RECORD, remove
from cxr.cloud.aws.names import tags_of
from cxr.cloud.cleaning.finding import find_leftovers
from cxr.cloud.cleaning.leftovers import CleanPlan, Leftover, Scope, Sort
from cxr.cloud.cleaning.places import same_thing
from cxr.cloud.cleaning.removing import Removal, remove_all
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job, Journal
from cxr.cloud.plans.launch import JobKind, place_label
from cxr.cloud.prices.table import price_table
from cxr.errors import Fault, NotFound
from cxr.settings import Target
from s3_server import Middle

HASH = "0123456789abcdef" * 4
BATCH, CUSTOM, AUTOML = "batch-00000000aa", "custom-00000000bb", "automl-00000000cc"


@pytest.fixture(scope="module")
def middle() -> Iterator[Middle]:
    with moto_middle() as middle:
        yield middle


@dataclass(frozen=True)
class Place:
    """An empty bucket of its own with a journal; the account is everybody's, and is emptied of models before."""

    site: AwsSite
    connection: Connection
    journal: Journal

    @property
    def sagemaker(self) -> Any:
        return client(self.connection, "sagemaker")

    def put(self, name: str, data: bytes = b"x" * 1000) -> None:
        self.site.client("s3").put_object(Bucket=self.site.bucket, Key=f"cxr/{name}", Body=data)

    def keys(self) -> set[str]:
        listed = self.site.client("s3").list_objects_v2(Bucket=self.site.bucket).get("Contents", ())
        return {str(one["Key"]).removeprefix("cxr/") for one in listed}

    def tags(self, run: str, connection: Connection | None = None) -> list[dict[str, str]]:
        where = place_label(connection or self.connection)
        return tags_of({"cxr-run": run, "cxr-manifest": HASH[:32], "cxr-place": where})

    def model(self, name: str, tags: list[dict[str, str]]) -> str:
        container = {"Image": "image", "ModelDataUrl": f"s3://{self.site.bucket}/model.tar.gz"}
        made = self.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE, Tags=tags)
        return str(made["ModelArn"])

    def training(self, run: str, connection: Connection | None = None) -> str:
        """A training job, which moto completes at once."""
        made = self.sagemaker.create_training_job(
            TrainingJobName=f"cxr-{run}",
            AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": f"{(connection or self.connection).base_url}/jobs/{run}"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
            Tags=self.tags(run, connection),
        )
        return str(made["TrainingJobArn"])

    def find(self, scope: Scope | None = None, *, keep_models: bool = False) -> CleanPlan:
        prices = price_table(None, self.connection.provider.prices)
        wanted = scope or Scope(everything=True)
        return find_leftovers(self.connection, self.journal, wanted, prices, keep_models=keep_models)

    def remove(self, plan: CleanPlan) -> list[Removal]:
        return remove_all(self.connection, self.journal, plan, on_progress=lambda done, total, what: None)


@pytest.fixture
def place(middle: Middle, tmp_path: Path) -> Place:
    site = new_site(middle)
    # The server's thread shares this process's state with all others: jobs and machines are forgotten, which every test
    # makes for itself; what others have made once for all (buckets, roles) stays.
    for service in ("sagemaker", "ec2"):
        get_backend(service)[DEFAULT_ACCOUNT_ID]["us-east-1"].reset()
    site.client("s3").create_bucket(Bucket=site.bucket)
    return Place(site, site.connection(on=Target.AWS_LOCAL), Journal(tmp_path / "jobs.jsonl"))


def sorts(leftovers: list[Leftover]) -> list[Sort]:
    return [one.sort for one in leftovers]


def test_everything_of_ours_is_found_and_deleted_and_nothing_else(place: Place) -> None:
    elsewhere = replace(place.connection, prefix="another")
    mine = place.model(f"cxr-{BATCH}", place.tags(BATCH))
    spared = {
        place.model("cxr-of-another-prefix", place.tags("batch-00000000dd", elsewhere)),
        place.model("cxr-without-tags", []),
        place.model("somebody-elses", place.tags(BATCH)),
    }
    job = place.training(CUSTOM)
    place.training("custom-00000000ee", elsewhere)
    for name in (f"jobs/{CUSTOM}/cxr-{CUSTOM}/output/model.tar.gz", f"predictions/{BATCH}/answers/a.out"):
        place.put(name)
    foreign = {"jobs/mine/x", "other/y", "images/z.png"}
    for name in foreign:
        place.put(name)

    plan = place.find()
    assert sorts(plan.doomed) == [Sort.MODEL, Sort.OBJECTS, Sort.OBJECTS]
    assert plan.doomed[0].name == mine
    assert plan.doomed[0].short_name == f"model/cxr-{BATCH}"
    assert [(one.name, one.kept) for one in plan.kept] == [(job, RECORD)]
    assert sum(one.usd_per_month or 0 for one in plan.doomed) == pytest.approx(2000 / 2**30 * 0.023)
    assert any("S3 pricing page" in note for note in plan.notes)
    assert not any("keeps old versions" in note for note in plan.notes)

    assert not any(removal.failures for removal in place.remove(plan))
    assert place.keys() == foreign
    left = {one["ModelArn"] for one in place.sagemaker.list_models()["Models"]}
    assert left == spared
    assert not place.find().doomed
    again = place.remove(plan)
    assert not any(removal.failures for removal in again)
    assert all(removal.gone_before for removal in again)


def test_models_stay_when_they_are_to(place: Place) -> None:
    place.model(f"cxr-{BATCH}", place.tags(BATCH))
    place.put(f"jobs/{CUSTOM}/cxr-{CUSTOM}/output/model.tar.gz")
    place.put(f"jobs/{CUSTOM}/trainer/cxr.whl")
    plan = place.find(keep_models=True)
    assert [info.name for one in plan.doomed for info in one.objects] == ["trainer/cxr.whl"]
    assert [(one.sort, one.kept) for one in plan.kept] == [(Sort.MODEL, "--keep-models")]


def test_only_the_runs_that_are_named_go(place: Place) -> None:
    place.model(f"cxr-{BATCH}", place.tags(BATCH))
    place.model("cxr-other", place.tags("batch-00000000dd"))
    place.put(f"predictions/{BATCH}/a.out")
    place.put("predictions/batch-00000000dd/a.out")
    plan = place.find(Scope(runs=frozenset({BATCH})))
    assert sorted(one.short_name for one in plan.doomed) == [
        f"model/cxr-{BATCH}",
        f"{place.connection.base_url}/predictions/{BATCH}",
    ]


def test_an_endpoint_with_our_tags_goes_first_and_its_price_is_not_known(place: Place) -> None:
    place.model(f"cxr-{BATCH}", place.tags(BATCH))
    variant = {"VariantName": "v", "ModelName": f"cxr-{BATCH}", "InstanceType": "ml.m5.large"}
    place.sagemaker.create_endpoint_config(
        EndpointConfigName="c", ProductionVariants=[variant | {"InitialInstanceCount": 1}]
    )
    place.sagemaker.create_endpoint(EndpointName="cxr-endpoint", EndpointConfigName="c", Tags=place.tags(BATCH))
    plan = place.find()
    assert sorts(plan.doomed) == [Sort.ENDPOINT, Sort.MODEL]
    assert plan.doomed[0].usd_per_month is None
    assert not any(removal.failures for removal in place.remove(plan))
    assert not place.sagemaker.list_endpoints()["Endpoints"]


def test_what_a_running_job_uses_stays(place: Place) -> None:
    from moto.backends import get_backend

    place.model(f"cxr-{BATCH}", place.tags(BATCH))
    place.model("cxr-in-use", place.tags("batch-00000000dd"))
    place.sagemaker.create_transform_job(
        TransformJobName=f"cxr-{BATCH}",
        ModelName="cxr-in-use",
        TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/x"}}},
        TransformOutput={"S3OutputPath": f"{place.connection.base_url}/predictions/{BATCH}"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        Tags=place.tags(BATCH),
    )
    place.put(f"predictions/{BATCH}/images.manifest")
    place.put("predictions/batch-00000000dd/a.out")
    (job,) = get_backend("sagemaker")["123456789012"]["us-east-1"].transform_jobs.values()
    job.transform_job_status = "InProgress"
    plan = place.find()
    kept = {one.short_name: one.kept for one in plan.kept}
    assert set(kept) == {
        f"transform-job/cxr-{BATCH}",
        f"model/cxr-{BATCH}",
        "model/cxr-in-use",
        f"{place.connection.base_url}/predictions/{BATCH}",
    }
    assert all(f"cxr cloud cancel {BATCH}" in why for why in kept.values())
    assert [one.run for one in plan.doomed] == ["batch-00000000dd"]


def test_the_journal_notes_what_a_result_in_the_bucket_has_lost(place: Place) -> None:
    where = place.connection
    job = Job(AUTOML, JobKind.AUTOML, where.on, "123456789012", where.region, where.bucket, where.prefix, HASH, "arn:x")
    place.journal.add(replace(job, state="SUCCEEDED"))
    place.put(f"jobs/{AUTOML}/cxr-{AUTOML}/output/model.tar.gz")
    place.remove(place.find())
    assert place.journal.find(AUTOML).state == "GONE"


def test_a_bucket_with_versions_is_said_to_keep_what_is_deleted(place: Place) -> None:
    place.put(f"jobs/{CUSTOM}/x")
    versioning = {"Status": "Enabled"}
    place.site.client("s3").put_bucket_versioning(Bucket=place.site.bucket, VersioningConfiguration=versioning)
    assert any("keeps old versions" in note for note in place.find().notes)


def test_what_is_gone_is_gone_and_a_record_is_not_removed(place: Place) -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model/cxr-gone"
    with pytest.raises(NotFound):
        remove(place.connection, Leftover(Sort.MODEL, arn))
    with pytest.raises(Fault, match="costs nothing"):
        remove(place.connection, Leftover(Sort.CUSTOM, arn.replace("model", "training-job")))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("arn:aws:sagemaker:us-east-1:1:model/m", "m", True),
        ("arn:aws:sagemaker:us-east-1:1:model/m", "n", False),
        ("arn:aws:sagemaker:us-east-1:1:model/m", "arn:aws:sagemaker:us-east-1:2:model/m", True),
        ("arn:aws:sagemaker:us-east-1:1:model/m", "arn:aws:sagemaker:us-east-1:1:endpoint/m", False),
        ("projects/p/locations/r/models/1", "projects/42/locations/r/models/1@2", True),
        ("m", "n", False),
        ("", "", False),
    ],
)
def test_names_of_one_thing_are_the_same_whoever_wrote_them(one: str, other: str, same: bool) -> None:
    assert same_thing(one, other) is same


@pytest.mark.slow
def test_the_command_lists_and_deletes_on_amazon(place: Place, run_cxr: Callable[..., Any]) -> None:
    place.model(f"cxr-{BATCH}", place.tags(BATCH, replace(place.connection, on=Target.AWS)))
    place.put(f"predictions/{BATCH}/a.out")
    words = ("cloud", "clean", "--all", "--on", "aws", "--bucket", place.site.bucket, "--json")
    here = {"AWS_ENDPOINT_URL": place.site.middle.url}
    listed = run_cxr(*words, "--dry-run", env=here)
    assert listed.returncode == 0, listed.stderr
    assert [one["sort"] for one in json.loads(listed.stdout)["delete"]] == ["model", "objects"]
    done = run_cxr(*words, "--yes", env=here)
    assert done.returncode == 0, done.stderr
    assert not place.keys()
