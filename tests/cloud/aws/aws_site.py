"""Amazon as these tests have it: moto's server on loopback, behind a man in the middle who answers what moto cannot."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

import pytest

from cxr.cloud.connection import Connection
from cxr.settings import Target
from s3_server import Answer, Middle, Request, moto_origin

ACCOUNT = "123456789012"
ROLE_NAME = "trainer"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/{ROLE_NAME}"
#: What moto does not do: answered as a service with enough quota and a role that may do everything would.
_QUOTAS = {
    "Quotas": [
        {"QuotaName": "ml.g4dn.xlarge for training job usage", "Value": 2.0},
        {"QuotaName": "ml.g4dn.xlarge for spot training job usage", "Value": 0.0},
    ]
}


def operation(request: Request) -> str:
    """The operation's name: of the JSON and the query protocol; "" for S3's."""
    target = request.headers.get("X-Amz-Target", "")
    if target:
        return target.rpartition(".")[2]
    if request.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        return parse_qs(request.body.decode()).get("Action", [""])[0]
    return ""


def json_answer(body: dict[str, Any], status: int = 200) -> Answer:
    """An answer of the JSON protocol."""
    return Answer(status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode())


def refusal(code: str, message: str, status: int = 403) -> Answer:
    """A refusal of the query protocol (sts, iam)."""
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    return Answer(status, {"Content-Type": "text/xml"}, body.encode())


def s3_refusal(code: str, message: str, status: int = 403) -> Answer:
    """A refusal of S3."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, {"Content-Type": "application/xml"}, body.encode())


def simulated(request: Request, denied: frozenset[str]) -> Answer:
    """SimulatePrincipalPolicy."""
    asked = [values[0] for key, values in parse_qs(request.body.decode()).items() if key.startswith("ActionNames")]
    members = "".join(
        f"<member><EvalActionName>{name}</EvalActionName>"
        f"<EvalDecision>{'implicitDeny' if name in denied else 'allowed'}</EvalDecision></member>"
        for name in asked
    )
    body = (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<SimulatePrincipalPolicyResult><EvaluationResults>{members}</EvaluationResults>"
        "</SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
    )
    return Answer(200, {"Content-Type": "text/xml"}, body.encode())


@lru_cache
def _client(service: str, region: str, origin: str) -> Any:
    import boto3

    return boto3.session.Session(region_name=region).client(service, endpoint_url=origin)


@dataclass
class AwsSite:
    """A bucket's name of its own on moto's server; `answers` overrides what an operation gets."""

    middle: Middle
    origin: str
    bucket: str = field(default_factory=lambda: f"site-{uuid.uuid4().hex[:10]}")
    answers: dict[str, Answer] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()

    def connection(self, **changes: Any) -> Connection:
        """Amazon's own target, its requests sent through the middle."""
        settings = {"region": "us-east-1", "role": ROLE, "project": "", "on": Target.AWS, "bucket": self.bucket}
        return Connection(prefix="cxr", endpoint=self.middle.url, **{**settings, **changes})

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """boto3's client that goes past the middle."""
        return _client(service, region, self.origin)

    def trust(self, name: str, service: str = "sagemaker.amazonaws.com") -> str:
        """Make a role that the service may assume; its ARN."""
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        return str(self.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]["Arn"])

    def operations(self) -> list[str]:
        """What was asked so far, S3's left out."""
        return [name for name in map(operation, self.middle.requests) if name]

    def answer(self, request: Request) -> Answer | None:
        """What the middle says by itself."""
        name = operation(request)
        if name in self.answers:
            return self.answers[name]
        if name == "SimulatePrincipalPolicy":
            return simulated(request, self.denied)
        return json_answer(_QUOTAS) if name == "ListServiceQuotas" else None


@contextmanager
def moto_middle() -> Iterator[Middle]:
    """Moto's server behind a man in the middle, one for a file of tests: clients are kept by their endpoint."""
    pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')
    with moto_origin() as origin, Middle(origin).running() as middle:
        yield middle


def new_site(middle: Middle) -> AwsSite:
    """A site behind `middle`, which forgets what it was asked and told before."""
    assert middle.upstream
    site = AwsSite(middle, f"http://{middle.upstream}")
    middle.before, middle.after = site.answer, lambda request, answer: answer
    middle.requests.clear()
    return site
