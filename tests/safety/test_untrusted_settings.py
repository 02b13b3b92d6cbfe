"""A cxr.toml, a plan or a URL out of a folder that was downloaded sends no credentials and no images where nobody
meant them to go, and spends no money that nobody meant to spend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from cxr.cloud.connection import resolve
from cxr.errors import InputError, UsageError
from cxr.settings import Settings, Target, load_settings
from cxr.storage import open_listing, open_store

#: Names in place of a region that would make `https://REGION-aiplatform.googleapis.com` somebody else's address.
ADDRESSES = [
    "evil.example/x?", "evil.example#", "evil.example\\", "x@evil.example/", "us-central1.evil.example/",
    "169.254.169.254/", "us-central1\n.evil", "file:///etc/passwd#", "..",
]  # fmt: skip


@pytest.mark.parametrize("region", ADDRESSES)
@pytest.mark.parametrize("on", [Target.GCP, Target.AWS])
def test_no_region_makes_another_host_of_the_services(on: Target, region: str) -> None:
    with pytest.raises(UsageError, match="is not a region"):
        resolve(Settings(on=on, project="p", region=region, bucket="bucket"))


def test_a_settings_file_cannot_name_an_endpoint_or_credentials(tmp_path: Path) -> None:
    known = {field.name for field in fields(Settings)}
    assert known == {
        "on", "project", "region", "bucket", "prefix", "prices", "role", "instance_profile", "state_dir",
    }  # fmt: skip
    for key in ("endpoint", "endpoint_url", "credentials", "proxy", "api_endpoint", "yes"):
        (tmp_path / "cxr.toml").write_text(f'{key} = "http://evil.example"', encoding="utf-8")
        with pytest.raises(UsageError, match="unknown key"):
            load_settings(config=tmp_path / "cxr.toml", environment={})


@pytest.mark.parametrize("bucket", ["bucket@evil", "..", "a/b", "evil.example/x", "-a", "a" * 64, "B", "a b", "a\n"])
def test_no_bucket_is_more_than_a_name(bucket: str) -> None:
    with pytest.raises(UsageError, match="legal bucket name"):
        resolve(Settings(on=Target.GCP, project="p", bucket=bucket))


@pytest.mark.parametrize("prefix", ["../other", "a/../../b", "a b", "a\nb", "a?b"])
def test_no_prefix_leaves_its_bucket(prefix: str) -> None:
    with pytest.raises(UsageError, match="legal prefix"):
        resolve(Settings(on=Target.GCP, project="p", bucket="bucket", prefix=prefix))


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "https://evil.example/a", "file:///etc/passwd", "ftp://a/b", "gopher://a"]
)
def test_only_buckets_and_folders_are_opened(url: str) -> None:
    with pytest.raises(UsageError):
        open_store(url)
    with pytest.raises(UsageError):
        open_listing(url)


@pytest.mark.parametrize("url", ["gs://", "gs://../a", "gs://-", "gs://@evil/a", "gs://bucket@evil-/a"])
def test_a_bucket_that_is_none_is_refused_before_anybody_is_asked(url: str) -> None:
    with pytest.raises(InputError):
        open_store(url, endpoint="http://127.0.0.1:9", project="p")


def test_a_settings_file_of_another_user_is_not_obeyed(tmp_path: Path) -> None:
    """As root (in CI) one can make the other user; then one is asked to be him."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    path = tmp_path / "cxr.toml"
    path.write_text('on = "gcp"\nbucket = "of-somebody-else"', encoding="utf-8")
    os.chown(path, 12_345, 12_345)
    code = (
        "import os, sys; os.chdir(sys.argv[1]); os.setuid(54321)\n"
        "from cxr.settings import load_settings\n"
        "from cxr.errors import InputError\n"
        "try:\n    load_settings(environment={})\nexcept InputError as error:\n    print(error.message)\n"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and str(folder).startswith(str(tmp_path.parents[2])):
            folder.chmod(0o755)
    imported = "import cxr.settings, cxr.errors, encodings.idna;"
    command = [sys.executable, "-c", imported + code, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "belongs to another user (number 12345) and is not obeyed" in said.stdout, said.stderr
    trusting = {**os.environ, "CXR_TRUST_OWNER": "12345"}
    trusted = subprocess.run(command, env=trusting, capture_output=True, text=True, check=False)
    assert (trusted.stdout, trusted.returncode) == ("", 0), trusted.stderr
    assert load_settings(config=path, environment={}).on is Target.GCP  # root works in everybody's folders


def test_a_limit_of_costs_is_not_kept_by_prices_that_came_with_the_folder(tmp_path: Path) -> None:
    from cxr.cli.cloud.common import CloudFlags, check_price_file
    from cxr.errors import NotAllowed

    (tmp_path / "cxr.toml").write_text('prices = "cheap.toml"', encoding="utf-8")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        with pytest.raises(NotAllowed, match=r"only cxr\.toml names"):
            check_price_file(CloudFlags(), 5.0)
        check_price_file(CloudFlags(), None)
        check_price_file(CloudFlags(prices="cheap.toml"), 5.0)
    finally:
        os.chdir(before)


@pytest.mark.parametrize("key", ["endpoint", "api_endpoint", "url"])
def test_a_saved_plan_cannot_name_an_endpoint(tmp_path: Path, key: str) -> None:
    """Of a plan's `where` five names are taken, and the place that they make is checked like any other."""
    from cxr.cli.cloud.train_steps import _settings_of
    from cxr.cloud.plans.files import read_plan
    from cxr.cloud.plans.launch import JobKind

    plan = {
        "schema": "cxr.cloud.plan", "schema_version": 1, "kind": "custom", "manifest_hash": "a" * 64, "request": {},
        "where": {"on": "gcp", "project": "p", "region": "evil.example/", "bucket": "bucket", "prefix": "x", key: "http://e/"},
        "attempt": 1, "cost": {"worst_usd": 1.0}, "job": "custom-1",
    }  # fmt: skip
    (tmp_path / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    settings = _settings_of(read_plan(tmp_path / "plan.json", JobKind.CUSTOM), Settings())
    with pytest.raises(UsageError, match="is not a region"):
        resolve(settings)
