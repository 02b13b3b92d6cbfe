"""The checks before a job on Amazon, through boto3 against moto's server: the happy way, and each finding provoked."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')

from aws_site import (
    ACCOUNT,
    ROLE,
    ROLE_NAME,
    AwsSite,
    json_answer,
    moto_middle,
    new_site,
    operation,
    refusal,
    s3_refusal,
)
from PIL import Image

from cxr.cloud.aws.sagemaker.autopilot import AutopilotOptions, plan_autopilot
from cxr.cloud.connection import Connection
from cxr.cloud.preflight import Finding, Level, Purpose, Subject, preflight, refuse_on_errors
from cxr.cloud.provider import AutoMLWishes, HardwareWishes
from cxr.cloud.uploading import destination_of, plan_manifest_upload, send_manifest
from cxr.errors import NotAllowed
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.scan.folder import scan
from cxr.settings import Target
from cxr.storage.amazon.buckets import ALL_BLOCKED
from cxr.storage.amazon.session import LOCAL_KEYS
from s3_server import Answer, Middle

EC2_TYPE = HardwareWishes(machine="g4dn.xlarge", engine="ec2", spot=False)


@pytest.fixture(scope="module")
def middle() -> Iterator[Middle]:
    with moto_middle() as middle:
        yield middle


@pytest.fixture
def site(middle: Middle) -> AwsSite:
    """A private bucket, and a role that SageMaker may assume."""
    site = new_site(middle)
    site.client("s3").create_bucket(Bucket=site.bucket)
    site.client("s3").put_public_access_block(Bucket=site.bucket, PublicAccessBlockConfiguration=ALL_BLOCKED)
    if ROLE_NAME not in {one["RoleName"] for one in site.client("iam").list_roles()["Roles"]}:
        site.trust(ROLE_NAME)
    return site


def found(connection: Connection, subject: Subject, **options: Any) -> dict[str, list[Finding]]:
    by_check: dict[str, list[Finding]] = {}
    for finding in preflight(connection, subject, **options):
        by_check.setdefault(finding.check, []).append(finding)
    return by_check


def custom(**wishes: Any) -> Subject:
    return Subject(Purpose.CUSTOM, hardware=HardwareWishes(**wishes))


def one(site: AwsSite, check: str, subject: Subject | None = None, **changes: Any) -> Finding:
    """The first finding of one check."""
    return found(site.connection(**changes), subject or custom())[check][0]


@pytest.mark.parametrize("purpose", [one for one in Purpose if one is not Purpose.IMAGE])
def test_where_everything_is_there_and_allowed_nothing_is_wrong(site: AwsSite, purpose: Purpose) -> None:
    findings = found(site.connection(), Subject(purpose, trials=2, parallel=2))
    looked_at = {name: every[0].level for name, every in findings.items() if every[0].level is not Level.SKIPPED}
    assert set(looked_at.values()) == {Level.OK}, findings
    assert findings["credentials"][0].cause == f"account {ACCOUNT}, arn:aws:sts::{ACCOUNT}:user/moto"
    assert ("role" in looked_at) == (purpose is not Purpose.UPLOAD)
    assert ("quota" in looked_at) == (purpose in {Purpose.CUSTOM, Purpose.TUNE})
    assert ("budget" in looked_at) == (purpose is Purpose.AUTOML)


def test_what_is_missing_is_said_all_at_once_and_skips_what_needs_it(site: AwsSite) -> None:
    findings = found(site.connection(bucket="nowhere-1234567", role=""), custom(machine="ml.p2.xlarge"))
    levels = {name: every[0].level for name, every in findings.items()}
    assert {name for name, level in levels.items() if level is Level.ERROR} == {"bucket", "role", "machine"}
    assert {name for name, level in levels.items() if level is Level.SKIPPED} >= {"bucket-private", "price", "quota"}
    assert "cxr cloud upload" in findings["bucket"][0].next
    assert "ml.p2.xlarge is retired; ml.g4dn.xlarge is its heir" in findings["machine"][0].cause
    assert "CXR_ROLE" in findings["role"][0].next
    assert found(site.connection(role=""), Subject(Purpose.ANY))["role"][0].level is Level.WARNING


def test_another_account_than_the_one_that_is_named(site: AwsSite) -> None:
    finding = one(site, "credentials", project="210987654321")
    assert finding.level is Level.ERROR
    assert f"account {ACCOUNT}" in finding.cause
    assert f"--project {ACCOUNT}" in finding.next
    with pytest.raises(NotAllowed):
        refuse_on_errors([finding])
    assert one(site, "credentials", project=ACCOUNT).level is Level.OK


def test_refused_credentials_stop_what_needs_them(site: AwsSite) -> None:
    site.answers["GetCallerIdentity"] = refusal("InvalidClientTokenId", "The security token is invalid.")
    findings = found(site.connection(), custom())
    assert (findings["credentials"][0].level, findings["credentials"][0].denied) == (Level.ERROR, True)
    assert "aws configure" in findings["credentials"][0].next
    assert findings["bucket"][0].level is findings["role"][0].level is Level.SKIPPED


def test_a_missing_permission_is_named(site: AwsSite) -> None:
    said = f"User: arn:aws:iam::{ACCOUNT}:user/me is not authorized to perform: iam:GetRole on resource: role trainer"
    site.answers["GetRole"] = refusal("AccessDenied", said)
    finding = one(site, "role")
    assert (finding.level, finding.cause) == (Level.WARNING, "cannot be checked: permission iam:GetRole is missing")
    assert "a policy with iam:GetRole" in finding.next
    site.answers["GetRole"] = refusal("AccessDenied", f"{said} with an explicit deny in a service control policy")
    assert one(site, "role").cause == "cannot be checked: permission iam:GetRole is denied"
    site.answers["GetRole"] = refusal("Throttling", "Rate exceeded", 400)
    assert one(site, "role").level is Level.WARNING


def test_a_strangers_bucket_cannot_be_used(site: AwsSite) -> None:
    site.middle.before = lambda request: (
        s3_refusal("AccessDenied", "Access Denied") if "location" in request.path else None
    )
    finding = one(site, "bucket", Subject(Purpose.UPLOAD))
    assert (finding.level, finding.denied, finding.resource) == (Level.ERROR, True, f"s3://{site.bucket}")
    assert finding.next.endswith("another one: --bucket NAME")


def test_a_bucket_in_another_region_is_refused_and_a_region_without_sagemaker(site: AwsSite) -> None:
    finding = one(site, "bucket", region="eu-west-1")
    assert finding.level is Level.ERROR
    assert "is in us-east-1, the jobs run in eu-west-1" in finding.cause
    assert "--region us-east-1" in finding.next
    nowhere = one(site, "region", region="xx-north-9")
    assert (nowhere.level, nowhere.cause) == (Level.ERROR, "SageMaker is not offered in xx-north-9")
    assert one(site, "region", Subject(Purpose.CUSTOM, hardware=EC2_TYPE), region="xx-north-9").level is Level.OK


def test_a_bucket_that_is_open_is_told_and_a_public_one_refused(site: AwsSite) -> None:
    s3 = site.client("s3")
    s3.delete_public_access_block(Bucket=site.bucket)
    finding = one(site, "bucket-private")
    assert finding.level is Level.WARNING
    assert f"put-public-access-block --bucket {site.bucket}" in finding.next
    shown = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{site.bucket}/*"}
    s3.put_bucket_policy(Bucket=site.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [shown]}))
    assert one(site, "bucket-private").level is Level.ERROR


def test_a_role_that_sagemaker_cannot_take_on(site: AwsSite) -> None:
    assert "there is no such thing" in one(site, "role", role=f"{ROLE}-gone").cause
    other = site.trust(f"batch-{uuid.uuid4().hex[:6]}", "batch.amazonaws.com")
    finding = one(site, "role", role=other)
    assert (finding.level, finding.resource) == (Level.ERROR, other)
    assert "does not let sagemaker.amazonaws.com assume it" in finding.cause
    stranger = one(site, "role", role="arn:aws:iam::210987654321:role/x")
    assert stranger.level is Level.ERROR
    assert "of account 210987654321" in stranger.cause


def test_a_role_that_is_not_seen_to_reach_the_bucket_is_a_warning(site: AwsSite) -> None:
    site.denied = frozenset({"s3:PutObject"})
    finding = one(site, "role")
    assert finding.level is Level.WARNING
    assert f"do not allow s3:PutObject on s3://{site.bucket}" in finding.cause
    asked = [one.body.decode() for one in site.middle.requests if operation(one) == "SimulatePrincipalPolicy"]
    assert any(f"{site.bucket}%2Fcxr%2Fjobs%2F" in body for body in asked)  # a policy of the prefix alone is enough
    site.answers["SimulatePrincipalPolicy"] = refusal(
        "AccessDenied", "User: me is not authorized to perform: iam:SimulatePrincipalPolicy on resource: trainer"
    )
    finding = one(site, "role")
    assert finding.level is Level.WARNING
    assert "permission iam:SimulatePrincipalPolicy is missing" in finding.cause


def test_a_machine_of_ec2_needs_a_profile_whose_role_ec2_takes_on(site: AwsSite) -> None:
    subject, iam, name = Subject(Purpose.CUSTOM, hardware=EC2_TYPE), site.client("iam"), f"p-{uuid.uuid4().hex[:8]}"
    assert "instance profile is set" in one(site, "role", subject).cause
    assert one(site, "role", subject, instance_profile=name).level is Level.ERROR
    iam.create_instance_profile(InstanceProfileName=name)
    assert one(site, "role", subject, instance_profile=name).cause == "the instance profile has no role"
    site.trust(name, "ec2.amazonaws.com")
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    assert one(site, "role", subject, instance_profile=name).level is Level.OK


def test_a_machine_that_the_region_has_not_and_limits_that_want_a_raised_quota(site: AwsSite) -> None:
    unknown = "The following supplied instance types do not exist: [g6e.xlarge]"
    error = f"<Error><Code>InvalidInstanceType</Code><Message>{unknown}</Message></Error>"
    body = f"<Response><Errors>{error}</Errors></Response>"
    refused = refusal("", "")
    refused.status, refused.body = 400, body.encode()
    assert one(site, "machine", custom(machine="ml.g6e.xlarge")).level is Level.OK
    site.answers["DescribeInstanceTypes"] = refused
    finding = one(site, "machine", custom(machine="ml.g6e.xlarge"))
    assert (finding.level, finding.cause) == (Level.ERROR, "EC2 has no machine type g6e.xlarge in us-east-1")
    site.answers["DescribeInstanceTypes"] = Answer(502, {"Content-Type": "text/html"}, b"<!doctype html>a proxy")
    finding = one(site, "machine")
    assert (finding.level, finding.unreachable) == (Level.ERROR, True)
    del site.answers["DescribeInstanceTypes"]
    limits = found(site.connection(), replace(custom(replicas=21), timeout_hours=200))["machine"]
    assert [finding.level for finding in limits] == [Level.OK, Level.WARNING, Level.WARNING]
    assert "longer than 120 h" in limits[1].cause
    assert one(site, "machine", replace(custom(), timeout_hours=10_000)).level is Level.ERROR
    assert one(site, "machine", Subject(Purpose.TUNE, trials=3, parallel=4)).level is Level.ERROR


def test_the_quota_says_how_many_may_train_at_once(site: AwsSite) -> None:
    few = one(site, "quota", custom(replicas=3))
    assert (few.level, few.cause) == (Level.ERROR, "3 instances wanted, the quota is 2")
    assert few.resource == "ml.g4dn.xlarge for training job usage, us-east-1"
    assert "servicequotas/home/services/sagemaker" in few.next
    none = one(site, "quota", custom(spot=True))
    assert (none.level, none.cause) == (Level.ERROR, "1 instance wanted, the quota is 0")
    assert "spot training job" in none.resource
    assert one(site, "quota", custom(machine="ml.g5.xlarge")).level is Level.WARNING
    vcpus = {"Quota": {"QuotaName": "x", "Value": 4.0}}
    site.answers["GetServiceQuota"] = json_answer(vcpus)
    large = HardwareWishes(machine="g4dn.2xlarge", engine="ec2")
    assert one(site, "quota", Subject(Purpose.CUSTOM, hardware=EC2_TYPE)).level is Level.OK
    finding = one(site, "quota", Subject(Purpose.CUSTOM, hardware=large))
    assert (finding.level, finding.cause) == (Level.ERROR, "8 vCPUs wanted, the quota is 4")
    assert finding.resource.startswith("All G and VT Spot Instance Requests")


def test_the_price_is_at_most_and_of_its_region(site: AwsSite) -> None:
    finding = one(site, "price", replace(custom(), timeout_hours=10))
    assert finding.level is Level.OK
    assert "USD for 10.033 h" in finding.cause, "with the two minutes that SIGTERM leaves"
    assert "USD for 20.333 h" in one(site, "price", Subject(Purpose.TUNE, trials=10, timeout_hours=2)).cause
    autopilot = Subject(Purpose.AUTOML, automl=AutoMLWishes(budget_hours=3))
    assert "USD for 3 h" in one(site, "price", autopilot).cause
    elsewhere = one(site, "price", custom(), region="eu-west-1")
    assert elsewhere.level is Level.WARNING
    assert "--prices FILE" in elsewhere.next
    wrong = found(site.connection(), Subject(Purpose.AUTOML, automl=AutoMLWishes(budget_hours=-1)))
    assert (wrong["budget"][0].level, wrong["price"][0].level) == (Level.ERROR, Level.SKIPPED)


def test_a_server_on_this_machine_never_sees_the_users_keys_and_checks_no_roles(
    site: AwsSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUSERSOWNKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "users-own-secret")
    findings = found(site.connection(on=Target.AWS_LOCAL), custom(machine="ml.g5.xlarge"))
    assert {findings[name][0].level for name in ("credentials", "bucket", "role", "machine", "quota")} == {Level.OK}
    signed = [request.headers["Authorization"] for request in site.middle.requests]
    assert signed
    assert all(f"Credential={LOCAL_KEYS['aws_access_key_id']}/" in header for header in signed)
    assert not {"GetRole", "ListServiceQuotas"} & set(site.operations())


@pytest.mark.slow
def test_the_command_checks_amazon_and_says_so(site: AwsSite, run_cxr: Callable[..., Any]) -> None:
    words = ("cloud", "check", "--on", "aws", "--bucket", site.bucket, "--for", "custom", "--json")
    here = {"AWS_ENDPOINT_URL": site.middle.url, "CXR_ROLE": ROLE}
    said = run_cxr(*words, env=here)
    assert said.returncode == 0, said.stderr
    document = json.loads(said.stdout)
    assert (document["ok"], document["where"]["on"]) == (True, "aws")
    assert {one["check"] for one in document["findings"]} >= {"credentials", "region", "role", "machine", "price"}
    assert "nobody" not in said.stdout + said.stderr  # the keys of these tests
    retired = run_cxr(*words, "--machine", "ml.p2.xlarge", env=here)
    assert retired.returncode == 5
    assert "ml.g4dn.xlarge is its heir" in retired.stderr
    no_keys = {**here, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
    without = run_cxr(*words, env=no_keys)
    assert without.returncode == 3
    assert "aws configure" in without.stderr
    image = run_cxr("cloud", "check", "--on", "aws", "--bucket", site.bucket, "--for", "image", env=here)
    assert image.returncode == 2
    assert "Amazon has no builds of container images" in image.stderr


def test_images_are_looked_for_and_judged_by_what_trains_on_them(site: AwsSite, tmp_path: Path) -> None:
    manifest = scanned(tmp_path)
    connection = site.connection()
    missing = found(connection, Subject(Purpose.CUSTOM, manifest))["images"][0]
    assert missing.level is Level.ERROR
    assert missing.next.startswith("cxr cloud upload --manifest manifest.csv --on aws")
    plan = plan_manifest_upload(destination_of(connection), manifest, tmp_path / "plan.jsonl")
    send_manifest(plan).require_complete("sent")
    own = found(connection, Subject(Purpose.CUSTOM, manifest))
    assert own["images"][0].level is Level.OK
    assert {one.level for one in own["data"]} == {Level.WARNING}  # the splits are small
    autopilot = found(connection, Subject(Purpose.AUTOML, manifest))["data"]
    (refused,) = [one for one in autopilot if one.level is Level.ERROR]  # not for Vertex AI's ten images a label
    assert "neither JPEG nor PNG" in refused.cause
    assert refused.resource.endswith(".bmp")


def test_test_images_that_no_batch_takes_are_told_before_autopilot_is_paid_for(site: AwsSite, tmp_path: Path) -> None:
    manifest = scanned(tmp_path)
    alike = one(site, "predictions", Subject(Purpose.AUTOML, manifest))
    assert (alike.level, alike.cause) == (Level.OK, "2 test images, all image/png")
    mixed = replace(manifest, frame=manifest.frame.copy())
    mixed.frame.loc[mixed.frame["path"].str.startswith("test/NORMAL"), "format"] = "JPEG"
    told = one(site, "predictions", Subject(Purpose.AUTOML, mixed))
    assert told.level is Level.WARNING  # the training itself works
    assert "could not be compared afterwards: the test images are image/jpeg, image/png" in told.cause
    assert "predictions" not in found(site.connection(), Subject(Purpose.CUSTOM, mixed))
    assert not any("compared afterwards" in note for note in autopilot_notes(site, manifest))
    assert any("compared afterwards" in note for note in autopilot_notes(site, mixed))


def autopilot_notes(site: AwsSite, manifest: Manifest) -> tuple[str, ...]:
    return plan_autopilot(site.connection(), manifest, AutopilotOptions()).notes


def scanned(folder: Path) -> Manifest:
    """A picture of each label in each split, one of them a BMP."""
    for split in ("train", "val", "test"):
        for label in ("NORMAL", "PNEUMONIA"):
            (folder / "images" / split / label).mkdir(parents=True)
            shade = 40 * len(list((folder / "images").rglob("*.*"))) + 10
            kind = "bmp" if (split, label) == ("train", "NORMAL") else "png"
            Image.new("L", (16, 16), shade).save(folder / "images" / split / label / f"{split}-{label}.{kind}")
    return write_manifest(scan(folder / "images"), folder / "manifest.csv")


def test_a_service_that_does_not_answer_is_a_finding(site: AwsSite) -> None:
    nobody = replace(site.connection(), endpoint="http://127.0.0.1:9")
    findings = found(nobody, Subject(Purpose.UPLOAD))
    assert (findings["credentials"][0].level, findings["credentials"][0].unreachable) == (Level.ERROR, True)
