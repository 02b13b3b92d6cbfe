"""An account on moto's server in which instances are started, and plans of jobs for it."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from cxr.cloud.aws.clients import client
from cxr.cloud.aws.ec2.engine import submit
from cxr.cloud.aws.offers import Engine, choose_hardware
from cxr.cloud.aws.trainings import plan_custom
from cxr.cloud.connection import Connection
from cxr.cloud.hardware import Hardware
from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.launching import Submitted
from cxr.cloud.plans.launch import LaunchPlan
from cxr.cloud.trainer.job import CustomOptions
from cxr.manifests.manifest import BLANK_ROW, Manifest, ManifestHeader, new_manifest
from cxr.settings import Target
from s3_server import moto_origin

PROFILE = "cxr-machines"
SPOT = choose_hardware("g4dn.xlarge", spot=True, engine=Engine.EC2)
ON_DEMAND = choose_hardware("g4dn.xlarge", engine=Engine.EC2)


def ec2_options(hardware: Hardware = SPOT, timeout_hours: float = 2.0, **more: Any) -> CustomOptions:
    """A job of the engine."""
    return CustomOptions("cnn5", hardware, timeout_hours, engine=Engine.EC2, **more)


def make_manifest() -> Manifest:
    rows = [
        BLANK_ROW
        | {"path": f"{split}/{label}/{n}.png", "label": label, "split": split, "patient": f"{split}{label}{n}"}
        | {"sha256": hashlib.sha256(f"{split}{label}{n}".encode()).hexdigest(), "width": 10, "height": 10, "size": 100}
        for split in ("train", "validation", "test")
        for label in ("NORMAL", "PNEUMONIA")
        for n in range(2)
    ]
    return new_manifest(pd.DataFrame(rows), ManifestHeader(root="."))


MANIFEST = make_manifest()


@dataclass(frozen=True)
class Site:
    """A bucket of its own in moto's account, and raw clients."""

    connection: Connection

    @property
    def ec2(self) -> Any:
        return client(self.connection, "ec2")

    @property
    def s3(self) -> Any:
        return client(self.connection, "s3")

    def plan(self, options: CustomOptions | None = None, *, attempt: int = 1) -> LaunchPlan:
        return plan_custom(self.connection, MANIFEST, options or ec2_options(SPOT), attempt=attempt)

    def submit(
        self, plan: LaunchPlan | None = None, options: CustomOptions | None = None, said: list[str] | None = None
    ) -> Submitted:
        options = options or ec2_options(SPOT)
        steps = [] if said is None else said
        return submit(plan or self.plan(options), MANIFEST, options, on_step=steps.append)

    def instances(self) -> list[dict[str, Any]]:
        """All of this bucket's."""
        url = {"Name": "tag:cxr-output", "Values": [f"{self.connection.base_url}/*"]}
        told = self.ec2.describe_instances(Filters=[url])
        return [one for reservation in told["Reservations"] for one in reservation["Instances"]]

    def keys(self, prefix: str = "") -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.connection.bucket, Prefix=prefix).get("Contents", ())
        return [str(one["Key"]) for one in found]

    def put(self, key: str, data: bytes | dict[str, Any]) -> None:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.s3.put_object(Bucket=self.connection.bucket, Key=key, Body=body)

    def get(self, key: str) -> bytes:
        data: bytes = self.s3.get_object(Bucket=self.connection.bucket, Key=key)["Body"].read()
        return data

    def end(self, plan: LaunchPlan, code: int, reason: str = "") -> None:
        """What a machine writes before it shuts down."""
        record = {"exit": code, "reason": reason, "started": "2026-11-22T09:00:00+00:00", "instance": "i-1"}
        self.put(f"{self.folder(plan)}/exit.json", record | {"ended": "2026-11-22T10:30:00+00:00"})

    def folder(self, plan: LaunchPlan) -> str:
        return f"{self.connection.prefix}/jobs/{plan.job_id}"

    def job(self, plan: LaunchPlan, resource: str) -> Job:
        """As the journal would have it."""
        where = self.connection
        url = f"{where.base_url}/jobs/{plan.job_id}"
        return Job(
            plan.job_id, plan.kind, where.on, where.project, where.region, where.bucket, where.prefix,
            plan.manifest_hash, plan.fingerprint, resource=resource, output_url=url,
        )  # fmt: skip


@contextmanager
def open_account() -> Iterator[str]:
    """moto's origin, with an instance profile in its account."""
    with moto_origin() as origin:
        iam = client(_connection(origin, "nothing"), "iam")
        iam.create_instance_profile(InstanceProfileName=PROFILE)
        yield origin


def new_site(origin: str) -> Site:
    """A site with a bucket of its own."""
    site = Site(_connection(origin, f"jobs-{uuid.uuid4().hex[:8]}"))
    site.s3.create_bucket(Bucket=site.connection.bucket)
    return site


def without_profile(site: Site) -> Connection:
    return replace(site.connection, instance_profile="")


def _connection(origin: str, bucket: str) -> Connection:
    return Connection(Target.AWS_LOCAL, "123456789012", "us-east-1", bucket, "cxr", origin, instance_profile=PROFILE)
