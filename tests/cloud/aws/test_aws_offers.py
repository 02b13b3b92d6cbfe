"""Amazon's offers: names that the service knows, GPUs that go with them, retired types, regions, containers, quotas."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from cxr.cloud.aws.images import ACCOUNTS, training_image
from cxr.cloud.aws.offers import (
    AUTOPILOT,
    DEFAULT_MACHINES,
    MACHINES,
    MAXIMUM_SECONDS,
    RETIRED,
    Engine,
    choose_hardware,
    sagemaker_regions,
    training_seconds,
)
from cxr.cloud.aws.quotas import ec2_quota, training_quota
from cxr.cloud.jobs.estimates import ASSUMED_IMAGES_PER_SECOND
from cxr.errors import UsageError
from s3_server import moto_origin

boto3 = pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')


def shape(service: str, name: str) -> Any:
    """A shape of the service's own model, as boto3 carries it."""
    return boto3.session.Session()._session.get_service_model(service).shape_for(name)


@pytest.mark.parametrize(
    ("engine", "service", "name"),
    [(Engine.SAGEMAKER, "sagemaker", "TrainingInstanceType"), (Engine.EC2, "ec2", "InstanceType")],
)
def test_every_machine_is_one_that_the_service_knows(engine: Engine, service: str, name: str) -> None:
    assert set(MACHINES[engine]) <= set(shape(service, name).enum)
    assert DEFAULT_MACHINES[engine] in MACHINES[engine]


def test_all_sizes_of_the_gpu_families_are_offered() -> None:
    for engine, service, name in (
        (Engine.SAGEMAKER, "sagemaker", "TrainingInstanceType"),
        (Engine.EC2, "ec2", "InstanceType"),
    ):
        for known in shape(service, name).enum:
            bare = known.removeprefix("ml.")
            if bare.split(".")[0] in {"g4dn", "g5", "g6", "g6e", "p3", "p4d"} and not bare.endswith("metal"):
                assert known in MACHINES[engine]


def test_every_gpu_has_an_assumed_speed() -> None:
    accelerators = {machine.accelerator for machines in MACHINES.values() for machine in machines.values()}
    assert accelerators <= set(ASSUMED_IMAGES_PER_SECOND)


def test_both_engines_offer_the_same_types() -> None:
    ec2 = MACHINES[Engine.EC2]
    assert {f"ml.{name}" for name in ec2} == set(MACHINES[Engine.SAGEMAKER])
    for name, machine in ec2.items():
        twin = MACHINES[Engine.SAGEMAKER][f"ml.{name}"]
        assert (twin.accelerator, twin.accelerators) == (machine.accelerator, machine.accelerators)


def test_hardware_is_what_the_machine_has() -> None:
    chosen = choose_hardware("ml.g5.12xlarge", replicas=2, spot=True)
    assert (chosen.accelerator, chosen.gpus, chosen.replicas, chosen.disk_gb) == ("NVIDIA_A10G", 4, 2, 100)
    assert chosen.words == "2 x ml.g5.12xlarge, 4 x NVIDIA_A10G, spot"
    plain = choose_hardware("m5.large", gpus=0, engine="ec2")
    assert (plain.accelerator, plain.gpus, plain.words) == (None, 0, "m5.large, no GPU")


@pytest.mark.parametrize(
    ("machine", "options", "words", "hint"),
    [
        ("ml.g4dn.xlarge", {"gpus": 4}, "has 1 x NVIDIA_TESLA_T4, not 4", "--machine ml.g4dn.12xlarge"),
        ("ml.g4dn.xlarge", {"accelerator": "NVIDIA_L4"}, "has NVIDIA_TESLA_T4, not NVIDIA_L4", "leave --accelerator"),
        ("ml.m5.large", {"gpus": 1}, "ml.m5.large has no GPU", "another --machine"),
        ("ml.m5.large", {"accelerator": "NVIDIA_L4"}, "ml.m5.large has no GPU", "another --machine"),
        ("ml.huge", {}, "'ml.huge' is not known", "ml.g4dn.xlarge, "),
        ("ml.g4dn.xlarge", {"replicas": 0}, "0 replicas are none", None),
        ("ml.p2.xlarge", {}, r"^ml.p2.xlarge is retired; ml.g4dn.xlarge is its heir", "--machine ml.g4dn.xlarge"),
        ("p2.16xlarge", {"engine": "ec2"}, r"^p2.16xlarge is retired; g4dn.xlarge is its", "--machine g4dn.xlarge"),
        ("g4dn.xlarge", {}, "a machine type of EC2", "--machine ml.g4dn.xlarge, or --engine ec2"),
        (
            "ml.g5.xlarge",
            {"engine": "ec2"},
            "a machine type of SageMaker",
            "--machine g5.xlarge, or --engine sagemaker",
        ),
        ("g5.xlarge", {"engine": "ec2", "replicas": 2}, "2 replicas on EC2", "--engine sagemaker"),
        ("g5.xlarge", {"engine": "lambda"}, "no engine 'lambda'", "sagemaker, ec2"),
    ],
)
def test_hardware_that_does_not_exist_is_refused(
    machine: str, options: dict[str, Any], words: str, hint: str | None
) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        choose_hardware(machine, **options)
    assert hint is None or hint in (raised.value.hint or "")


def test_heirs_are_offered() -> None:
    for family, heir in RETIRED.items():
        assert heir in MACHINES[Engine.EC2]
        assert f"ml.{heir}" in MACHINES[Engine.SAGEMAKER]
        assert not any(name.startswith(f"{family}.") for name in MACHINES[Engine.EC2])


@pytest.mark.parametrize("hours", [0, -1, 28 * 24 + 1], ids=str)
def test_a_run_that_the_service_does_not_take_is_refused(hours: float) -> None:
    with pytest.raises(UsageError, match="not possible"):
        training_seconds(hours)


def test_limits_agree_with_the_services_model() -> None:
    assert training_seconds(28 * 24) == MAXIMUM_SECONDS
    members = shape("sagemaker", "StoppingCondition").members
    assert "maximum value is 28 days" in members["MaxRuntimeInSeconds"].documentation
    assert "equal to or greater than" in members["MaxWaitTimeInSeconds"].documentation
    criteria = shape("sagemaker", "AutoMLJobCompletionCriteria").members
    assert f"the supported value is {AUTOPILOT.candidates}." in criteria["MaxCandidates"].documentation
    assert criteria["MaxAutoMLJobRuntimeInSeconds"].metadata == {"min": AUTOPILOT.minimum_seconds}


def test_every_region_of_sagemaker_in_the_public_partitions_has_a_training_container() -> None:
    regions = sagemaker_regions()
    assert {"us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1"} <= regions
    session = boto3.session.Session()
    for partition in ("aws", "aws-cn", "aws-us-gov"):
        assert set(session.get_available_regions("sagemaker", partition_name=partition)) <= set(ACCOUNTS)


@pytest.mark.parametrize(
    ("region", "gpu", "uri"),
    [
        ("us-east-1", True, "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.21-gpu-py312-cu129-"),
        ("eu-south-1", False, "692866216735.dkr.ecr.eu-south-1.amazonaws.com/tensorflow-training:2.21-cpu-py312-"),
        ("cn-north-1", True, "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/tensorflow-training:2.21-gpu-"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_the_container_is_that_of_the_region(region: str, gpu: bool, uri: str) -> None:
    image = training_image(region, gpu=gpu)
    assert image.startswith(uri)
    assert image.endswith("-amzn2023-sagemaker")


def test_a_region_without_a_container_is_named() -> None:
    with pytest.raises(UsageError, match="'mars-west-1'") as raised:
        training_image("mars-west-1")
    assert "--image" in (raised.value.hint or "")


class Quotas(BaseHTTPRequestHandler):
    """Service Quotas as far as it is asked: pages of two, and quotas by code."""

    names = (
        "ml.g4dn.xlarge for endpoint usage",
        "ml.g4dn.xlarge for training job usage",
        *("ml.m5.large for processing job usage", "ml.m5.large for endpoint usage", "Longest run time for an app"),
        "ml.g4dn.xlarge for spot training job usage",
    )
    codes: ClassVar = {"L-DB2E81BA": 8.0, "L-7212CCBC": 96.0}

    def do_POST(self) -> None:
        """One operation of the JSON protocol."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["X-Amz-Target"].endswith("ListServiceQuotas"):
            first = int(asked.get("NextToken", 0))
            page = [
                {"QuotaName": name, "Value": float(first + place)} for place, name in enumerate(self.names[first:][:2])
            ]
            more = {"NextToken": str(first + 2)} if first + 2 < len(self.names) else {}
            self.answer(200, {"Quotas": page, **more})
        elif asked["QuotaCode"] in self.codes:
            self.answer(200, {"Quota": {"Value": self.codes[asked["QuotaCode"]]}})
        else:
            self.answer(400, {"__type": "NoSuchResourceException", "Message": "none"})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        """A body as the service sends it."""
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""


@contextmanager
def quotas_client(origin: str) -> Iterator[Any]:
    """A real client, pointed at a server on loopback, that asks once."""
    from botocore.config import Config

    client = boto3.session.Session().client(
        "service-quotas",
        endpoint_url=origin,
        region_name="us-east-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
        config=Config(retries={"total_max_attempts": 1}),
    )
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(scope="module")
def quotas() -> Iterator[Any]:
    """Service Quotas with a few quotas."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Quotas)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    with quotas_client(f"http://127.0.0.1:{server.server_port}") as client:
        yield client
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_quota_of_a_type_is_found_by_its_name_on_whatever_page(quotas: Any) -> None:
    assert training_quota(quotas, "ml.g4dn.xlarge", False) == 1.0
    assert training_quota(quotas, "ml.g4dn.xlarge", True) == 5.0
    assert training_quota(quotas, "ml.g5.xlarge", False) is None


def test_ec2_is_asked_for_the_group_of_the_type(quotas: Any) -> None:
    assert ec2_quota(quotas, False) == 8.0
    assert ec2_quota(quotas, True, machine="p4d.24xlarge") == 96.0
    assert ec2_quota(quotas, True) is None
    assert ec2_quota(quotas, False, machine="x2gd.large") is None


def test_motos_server_tells_no_quota_of_ec2_and_its_errors_are_left_to_the_caller() -> None:
    from botocore.exceptions import ClientError

    with moto_origin() as origin, quotas_client(origin) as client:
        assert ec2_quota(client, False) is None
        with pytest.raises(ClientError):
            training_quota(client, "ml.g4dn.xlarge", False)


@pytest.mark.slow
def test_ec2_of_motos_server_has_the_gpus_that_the_table_says() -> None:
    """Its list of types is a copy of Amazon's; those that have left it are the ones without a price."""
    table = {name: machine for name, machine in MACHINES[Engine.EC2].items() if not name.startswith("p3.")}
    with moto_origin() as origin:
        client = boto3.session.Session().client("ec2", endpoint_url=origin)
        found = client.describe_instance_types(InstanceTypes=list(table))["InstanceTypes"]
        with pytest.raises(client.exceptions.ClientError, match=r"p2\.xlarge"):
            client.describe_instance_types(InstanceTypes=["p2.xlarge"])
        client.close()
    assert {one["InstanceType"] for one in found} == set(table)
    for one in found:
        machine = table[one["InstanceType"]]
        gpus = one.get("GpuInfo", {}).get("Gpus", [])
        assert sum(gpu["Count"] for gpu in gpus) == machine.accelerators, machine.name
        assert all((machine.accelerator or "").endswith(gpu["Name"]) for gpu in gpus), machine.name
