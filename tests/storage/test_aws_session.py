"""Which of the user's AWS settings a client sees."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')

from botocore.config import Config

from cxr.errors import InputError
from cxr.storage.amazon.session import AwsPlace, _descriptions, aws_client, service_regions

ORIGIN = "http://127.0.0.1:9"


@pytest.fixture
def settings_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text("[profile work]\nregion = eu-west-3\ns3 =\n  addressing_style = virtual\n", encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "work")
    # A program's first client finds no descriptions that an earlier one has read.
    _descriptions.cache_clear()


@pytest.mark.usefixtures("settings_of_a_user")
def test_a_server_on_this_machine_is_asked_without_the_users_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    here = aws_client("s3", AwsPlace("us-east-1", ORIGIN, local=True), Config())
    assert not (here.meta.config.s3 or {}).get("addressing_style")
    elsewhere = aws_client("s3", AwsPlace("us-east-1", ORIGIN), Config())
    assert elsewhere.meta.config.s3["addressing_style"] == "virtual", "the profile is the user's wish for Amazon"
    monkeypatch.setenv("AWS_PROFILE", "gone")
    _descriptions.cache_clear()
    assert aws_client("sagemaker", AwsPlace("us-east-1", ORIGIN, local=True), Config()).meta.endpoint_url == ORIGIN
    assert {"us-east-1", "cn-north-1"} <= service_regions("sagemaker")
    with pytest.raises(InputError, match="gone"):
        aws_client("sagemaker", AwsPlace("us-east-1", ORIGIN), Config())
