"""moto's own memory of SageMaker, which is the truth about jobs here, and the clients that the server calls itself
with."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import boto3
from botocore.config import Config
from moto.backends import get_backend
from moto.core.utils import utcnow

from cxr.cloud.aws.local.settings import ACCESS_KEY, ACCOUNT, INSTANCE_PROFILE, SECRET_KEY


class MotoState:
    """SageMaker's resources in moto's memory. Whoever reads or changes several things holds `lock`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.lock = threading.RLock()
        self._clients: dict[tuple[str, str], Any] = {}

    def sagemaker(self, region: str) -> Any:
        """moto's backend of a region: its `training_jobs`, `hyper_parameter_tuning_jobs` … are dicts by name."""
        return get_backend("sagemaker")[ACCOUNT][region]

    def make_instance_profile(self) -> None:
        """What an instance of EC2 would run as: moto wants it to be there, and starts no machine."""
        get_backend("iam")[ACCOUNT]["aws"].create_instance_profile(INSTANCE_PROFILE, "/", [])

    def client(self, service: str, region: str) -> Any:
        """A boto3 client for this server itself; it may be shared among threads."""
        with self.lock:
            if (service, region) not in self._clients:
                self._clients[service, region] = boto3.session.Session().client(
                    service,
                    region_name=region,
                    endpoint_url=self.url,
                    aws_access_key_id=ACCESS_KEY,
                    aws_secret_access_key=SECRET_KEY,
                    config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
                )
            return self._clients[service, region]


def now() -> datetime:
    """This moment as moto keeps times: UTC without a zone."""
    moment: datetime = utcnow()
    return moment
