"""Buckets of S3: made private, found, and what is sent to them by the command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')

import numpy as np
from aws_site import AwsSite, moto_middle, new_site, s3_refusal
from PIL import Image

from cxr.errors import InputError, NotAllowed
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.scan.folder import scan
from cxr.storage.amazon.buckets import (
    ALL_BLOCKED,
    create_private_s3_bucket,
    find_s3_bucket,
    region_of,
    shows_everybody,
)
from cxr.storage.amazon.session import AwsPlace
from cxr.storage.buckets import BucketState
from s3_server import Middle, Request

IMAGES = 12


@pytest.fixture(scope="module")
def middle() -> Iterator[Middle]:
    with moto_middle() as middle:
        yield middle


@pytest.fixture
def site(middle: Middle) -> AwsSite:
    return new_site(middle)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A few pictures, split."""
    rng = np.random.default_rng(5)
    for split in ("train", "val", "test"):
        for label in ("NORMAL", "PNEUMONIA"):
            folder = tmp_path / "data" / split / label
            folder.mkdir(parents=True)
            for number in range(IMAGES // 6):
                picture = Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8))
                picture.save(folder / f"{split}-{label}-{number}.png")
    write_manifest(scan(tmp_path / "data"), tmp_path / "manifest.csv")
    return tmp_path / "manifest.csv"


def place(site: AwsSite, region: str = "us-east-1") -> AwsPlace:
    return AwsPlace(region, site.middle.url)


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_a_bucket_is_made_private_where_it_is_wanted(site: AwsSite, region: str) -> None:
    assert find_s3_bucket(site.bucket, place=place(site, region)).location is None
    create_private_s3_bucket(site.bucket, region=region, place=place(site, region))
    assert find_s3_bucket(site.bucket, place=place(site, region)) == BucketState(site.bucket, region, private=True)
    s3 = site.client("s3")
    assert s3.get_public_access_block(Bucket=site.bucket)["PublicAccessBlockConfiguration"] == ALL_BLOCKED
    (rule,) = s3.get_bucket_ownership_controls(Bucket=site.bucket)["OwnershipControls"]["Rules"]
    assert rule["ObjectOwnership"] == "BucketOwnerEnforced"
    assert not shows_everybody(site.bucket, place=place(site))


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_an_attempt_whose_answer_was_lost_is_taken_and_blocked_all_the_same(site: AwsSite, region: str) -> None:
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    site.client("s3", region).create_bucket(Bucket=site.bucket, **where)
    assert not find_s3_bucket(site.bucket, place=place(site, region)).private
    create_private_s3_bucket(site.bucket, region=region, place=place(site, region))
    assert find_s3_bucket(site.bucket, place=place(site, region)).private


def test_one_of_ours_in_another_region_is_not_taken(site: AwsSite) -> None:
    where = {"LocationConstraint": "eu-west-1"}
    site.client("s3", "eu-west-1").create_bucket(Bucket=site.bucket, CreateBucketConfiguration=where)
    with pytest.raises(InputError, match="cannot create") as refused:
        create_private_s3_bucket(site.bucket, region="eu-central-1", place=place(site, "eu-central-1"))
    assert "choose another with --bucket" in str(refused.value.hint)
    assert not find_s3_bucket(site.bucket, place=place(site)).private  # untouched


def test_somebody_elses_bucket_is_refused_and_not_touched(site: AwsSite) -> None:
    def stranger(request: Request) -> Any:
        if request.method == "PUT":
            return s3_refusal("BucketAlreadyExists", "The requested bucket name is not available.", 409)
        return s3_refusal("AccessDenied", "Access Denied")

    site.middle.before = stranger
    with pytest.raises(NotAllowed, match="Access Denied"):
        find_s3_bucket(site.bucket, place=place(site))
    with pytest.raises(InputError, match="not available"):
        create_private_s3_bucket(site.bucket, region="us-east-1", place=place(site))
    assert not [one for one in site.middle.requests if "publicAccessBlock" in one.path]


def test_what_everybody_may_read_is_recognised(site: AwsSite) -> None:
    s3 = site.client("s3")
    s3.create_bucket(Bucket=site.bucket)
    assert not shows_everybody(site.bucket, place=place(site))
    shown = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{site.bucket}/*"}
    s3.put_bucket_policy(Bucket=site.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [shown]}))
    assert shows_everybody(site.bucket, place=place(site))
    s3.delete_bucket_policy(Bucket=site.bucket)
    s3.put_bucket_acl(Bucket=site.bucket, ACL="public-read")
    assert shows_everybody(site.bucket, place=place(site))


@pytest.mark.parametrize(("told", "region"), [(None, "us-east-1"), ("EU", "eu-west-1"), ("eu-west-3", "eu-west-3")])
def test_old_names_of_regions_are_understood(told: str | None, region: str) -> None:
    assert region_of({"LocationConstraint": told}) == region


def test_the_command_sends_everything_once(site: AwsSite, manifest: Path, run_cxr: Callable[..., Any]) -> None:
    words = ("cloud", "upload", "--manifest", str(manifest), "--on", "aws", "--bucket", site.bucket, "--yes", "--json")
    here = {"AWS_ENDPOINT_URL": site.middle.url}
    first = run_cxr(*words, env=here)
    assert first.returncode == 0, first.stderr
    said = json.loads(first.stdout)
    assert (said["make_bucket"], said["new"], said["destination"]) == (True, IMAGES, f"s3://{site.bucket}/cxr")
    assert find_s3_bucket(site.bucket, place=place(site)).private
    keys = {one["Key"] for one in site.client("s3").list_objects_v2(Bucket=site.bucket)["Contents"]}
    assert len(keys) == IMAGES + 2
    assert "cxr/manifest.csv" in keys
    sent = site.middle.actions.count("put")
    second = run_cxr(*words, env=here)
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["unchanged"] == IMAGES
    assert site.middle.actions.count("put") == sent


def test_the_command_refuses_a_bucket_of_another_region_and_a_public_one(
    site: AwsSite, manifest: Path, run_cxr: Callable[..., Any]
) -> None:
    s3, here = site.client("s3"), {"AWS_ENDPOINT_URL": site.middle.url}
    s3.create_bucket(Bucket=site.bucket)
    words = ("cloud", "upload", "--manifest", str(manifest), "--on", "aws", "--bucket", site.bucket, "--yes")
    elsewhere = run_cxr(*words, "--region", "eu-west-1", env=here)
    assert elsewhere.returncode != 0
    assert f"s3://{site.bucket} is in us-east-1, the jobs run in eu-west-1" in elsewhere.stderr
    assert "--region us-east-1" in elsewhere.stderr
    s3.put_bucket_acl(Bucket=site.bucket, ACL="public-read")
    public = run_cxr(*words, env=here)
    assert public.returncode == 2
    assert f"s3://{site.bucket} is public: everybody could read the images" in public.stderr
    assert not [one for one in site.middle.requests if one.action == "put"]
