"""`cxr cloud host` on Amazon and on the server of this machine that stands for it: one way, through the provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')
pytest.importorskip("moto.server", reason="needs moto of the dev group")

import requests
from aws_site import AwsSite, moto_middle, new_site

from cxr.cli.cloud.common import CloudFlags
from cxr.cli.cloud.host_steps import open_host
from cxr.cli.out import Out
from cxr.cloud.aws.local.process import stop
from s3_server import Middle


@pytest.fixture(scope="module")
def middle() -> Iterator[Middle]:
    with moto_middle() as middle:
        yield middle


@pytest.fixture
def site(middle: Middle) -> AwsSite:
    return new_site(middle)


def test_the_command_hosts_where_a_server_stands_for_amazon(
    page: Path, run_cxr: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / ".cxr"
    words = ("cloud", "host", "--on", "aws-local", "--state-dir", str(folder), "--bucket", "page-of-mine", "--json")
    try:
        saved = run_cxr(*words, str(page), "--public", "--plan", "plan.json")
        assert saved.returncode == 0, saved.stderr
        assert json.loads(saved.stdout)["where"]["on"] == "aws-local"
        apply = ("cloud", "host", "--apply", "plan.json", "--state-dir", str(folder), "--yes", "--json")
        done = run_cxr(*apply, "--yes-public", "page-of-mine")
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["public"]
        assert requests.get(said["addresses"][0]["url"], timeout=120).content == (page / "index.html").read_bytes()
        gone = run_cxr(*words, "--remove", "--yes")
        assert json.loads(gone.stdout)["bucket_deleted"], gone.stderr
    finally:
        stop(folder / "aws-local")


def test_another_clouds_project_and_region_are_left_out(
    site: AwsSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", site.middle.url)
    (tmp_path / "cxr.toml").write_text('on = "gcp"\nproject = "my-project"\nregion = "us-central1"\n')
    host, prefix, region = open_host(CloudFlags(on="aws", bucket=site.bucket), Out(quiet=True))
    assert (host.identity()["on"], prefix, region) == ("aws", "page/", "us-east-1")
    assert host.look() is None
    (tmp_path / "cxr.toml").write_text('on = "aws"\nproject = "123456789012"\nregion = "eu-west-3"\n')
    assert open_host(CloudFlags(bucket=site.bucket, prefix=""), Out(quiet=True))[1:] == ("", "eu-west-3")


def test_without_credentials_nothing_is_planned(site: AwsSite, page: Path, run_cxr: Callable[..., Any]) -> None:
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
    said = run_cxr("cloud", "host", str(page), "--on", "aws", "--bucket", site.bucket, "--dry-run", env=nobody)
    assert said.returncode == 3
    assert "no AWS credentials were found" in said.stderr
    assert "aws configure" in said.stderr
