"""One instance of EC2 for a job: how it is asked for, that it is asked for once, and who can reach it."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest
from ec2_site import MANIFEST, ON_DEMAND, SPOT, Site, ec2_options, without_profile

from cxr.cloud.aws.ec2.engine import RULES, worst_hours
from cxr.cloud.aws.ec2.launch import instance_request
from cxr.cloud.aws.ec2.machine_images import USUAL, MachineImage, find_machine_image
from cxr.cloud.aws.ec2.network import GROUP_NAME, no_inbound_group
from cxr.cloud.aws.trainings import plan_custom
from cxr.cloud.connection import Connection
from cxr.cloud.trainer.job import HDF5_MAGIC, PUBLIC_IMAGE, CustomOptions
from cxr.cloud.trainer.wheel import WHEEL_NAME
from cxr.errors import InputError, NotFound, UsageError
from cxr.settings import Target

IMAGE = MachineImage("ami-1", "/dev/xvda", 60)


def attribute(site: Site, instance: str, name: str, key: str) -> str:
    told = site.ec2.describe_instance_attribute(InstanceId=instance, Attribute=name)
    return str(told[key]["Value"])


def test_a_launch_starts_one_spot_machine_that_terminates_when_it_shuts_down(account_site: Site) -> None:
    plan = account_site.plan()
    submitted = account_site.submit(plan)
    (machine,) = account_site.instances()
    id_ = machine["InstanceId"]
    assert submitted.resource == f"arn:aws:ec2:us-east-1:123456789012:instance/{id_}"
    assert not submitted.found
    assert machine["InstanceLifecycle"] == "spot"
    assert machine["InstanceType"] == "g4dn.xlarge"
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert "KeyName" not in machine
    behaviour = attribute(account_site, id_, "instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior")
    assert behaviour == "terminate"
    assert machine["IamInstanceProfile"]["Arn"].endswith(":instance-profile/cxr-machines")


def test_machine_and_volume_carry_the_labels_and_the_volume_is_encrypted_and_goes_too(account_site: Site) -> None:
    plan = account_site.plan()
    account_site.submit(plan)
    (machine,) = account_site.instances()
    tags = {one["Key"]: one["Value"] for one in machine["Tags"]}
    assert plan.labels.items() <= tags.items()
    assert tags["Name"] == f"cxr-{plan.job_id}"
    (disk,) = machine["BlockDeviceMappings"]
    assert (disk["DeviceName"], disk["Ebs"]["DeleteOnTermination"]) == (machine["RootDeviceName"], True)
    (volume,) = account_site.ec2.describe_volumes(VolumeIds=[disk["Ebs"]["VolumeId"]])["Volumes"]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (100, "gp3", True)
    assert {one["Key"]: one["Value"] for one in volume["Tags"]} == tags


def test_nobody_can_reach_it(account_site: Site) -> None:
    account_site.submit()
    (machine,) = account_site.instances()
    (named,) = machine["SecurityGroups"]
    (group,) = account_site.ec2.describe_security_groups(GroupIds=[named["GroupId"]])["SecurityGroups"]
    assert group["GroupName"] == GROUP_NAME
    assert group["IpPermissions"] == []
    assert group["IpPermissionsEgress"]
    assert no_inbound_group(account_site.connection) == group["GroupId"], "found, not made again"


def test_a_group_that_somebody_opened_is_refused(account_site: Site) -> None:
    where = replace(account_site.connection, region="sa-east-1")
    site, group = Site(where), no_inbound_group(where)
    site.ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
    )
    with pytest.raises(InputError, match="lets something in"):
        no_inbound_group(where)


def test_without_a_default_vpc_it_is_said_how_to_make_one(account_site: Site) -> None:
    where = replace(account_site.connection, region="af-south-1")
    ec2 = Site(where).ec2
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.delete_vpc(VpcId=vpc["VpcId"])
    with pytest.raises(InputError, match="no default VPC") as caught:
        no_inbound_group(where)
    assert caught.value.hint == "aws ec2 create-default-vpc --region af-south-1"


def test_the_request_names_one_time_spot_capacity_and_is_the_same_request_each_time(account_site: Site) -> None:
    plan = account_site.plan()
    asked = instance_request(plan, ec2_options(SPOT), IMAGE, "sg-1")
    assert asked["InstanceMarketOptions"] == {
        "MarketType": "spot",
        "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
    }
    assert [one["ResourceType"] for one in asked["TagSpecifications"]] == [
        "instance", "volume", "spot-instances-request",
    ]  # fmt: skip
    assert (asked["MinCount"], asked["MaxCount"]) == (1, 1)
    assert asked["ClientToken"] == plan.fingerprint
    assert len(asked["ClientToken"]) <= 64, "API_RunInstances: at most 64 characters"
    assert asked == instance_request(plan, ec2_options(SPOT), IMAGE, "sg-1")
    assert not {"KeyName", "NetworkInterfaces"} & set(asked)


def test_on_demand_asks_for_no_spot_capacity(account_site: Site) -> None:
    options = ec2_options(ON_DEMAND)
    account_site.submit(options=options)
    (machine,) = account_site.instances()
    assert "InstanceLifecycle" not in machine
    asked = instance_request(account_site.plan(options), options, IMAGE, "sg-1")
    assert [one["ResourceType"] for one in asked["TagSpecifications"]] == ["instance", "volume"]


def test_a_profile_may_be_an_arn(account_site: Site) -> None:
    arn = "arn:aws:iam::123456789012:instance-profile/cxr-machines"
    where = replace(account_site.connection, instance_profile=arn)
    options = ec2_options(SPOT)
    plan = plan_custom(where, MANIFEST, options)
    assert instance_request(plan, options, IMAGE, "sg-1")["IamInstanceProfile"] == {"Arn": arn}


def test_without_a_profile_nothing_is_planned(account_site: Site) -> None:
    with pytest.raises(UsageError, match="no instance profile") as caught:
        plan_custom(without_profile(account_site), MANIFEST, ec2_options(SPOT))
    assert "CXR_INSTANCE_PROFILE" in str(caught.value.hint)


def test_the_same_plan_finds_the_first_machine(account_site: Site) -> None:
    first = account_site.submit()
    again = account_site.submit()
    assert again.resource == first.resource
    assert again.found
    assert len(account_site.instances()) == 1


def test_a_launch_that_died_before_it_could_write_anything_down_is_found(account_site: Site) -> None:
    plan = account_site.plan()
    options = ec2_options(SPOT)
    # As far as a launch gets that is killed when EC2 has just answered.
    image = find_machine_image(account_site.connection, options)
    group = no_inbound_group(account_site.connection)
    made = account_site.ec2.run_instances(**instance_request(plan, options, image, group))
    id_ = made["Instances"][0]["InstanceId"]
    found = account_site.submit(plan)
    assert (found.resource.rsplit("/", 1)[-1], found.found) == (id_, True)
    assert account_site.keys(f"{account_site.folder(plan)}/machines/") == [
        f"{account_site.folder(plan)}/machines/{id_}.json"
    ], "noted after all"
    assert len(account_site.instances()) == 1


def test_what_the_machine_needs_lies_in_the_job_s_folder(account_site: Site, tmp_path: Path) -> None:
    weights = tmp_path / "my weights.h5"
    weights.write_bytes(HDF5_MAGIC + b"weights")
    options = ec2_options(SPOT, weights=str(weights))
    plan = account_site.plan(options)
    account_site.submit(plan, options)
    folder = account_site.folder(plan)
    sent = {key.removeprefix(f"{folder}/") for key in account_site.keys(folder)}
    assert {WHEEL_NAME, "manifest.csv", "manifest.json", "weights/my weights.h5"} <= sent
    told = script_of(account_site)
    assert "WEIGHTS='my weights.h5'" in told
    assert "--weights '/opt/ml/input/data/weights/my weights.h5'" in told


def test_the_next_attempt_starts_from_the_checkpoints_of_the_one_before(account_site: Site) -> None:
    first, second = account_site.plan(), account_site.plan(attempt=2)
    account_site.put(f"{account_site.folder(first)}/checkpoints/cxr-{'0' * 16}-v1-000001-00000000.npz", b"state")
    said: list[str] = []
    account_site.submit(second, said=said)
    assert f"RESUME_FROM={account_site.connection.base_url}/jobs/{first.job_id}/checkpoints\n" in script_of(
        account_site
    )
    assert any("go on from the checkpoints" in step for step in said)


def test_the_machine_image_is_named_or_the_usual_one(account_site: Site) -> None:
    where = account_site.connection
    usual = find_machine_image(where, ec2_options(SPOT))
    assert usual.id.startswith("ami-")
    assert find_machine_image(where, ec2_options(SPOT, image=usual.id)) == usual
    with pytest.raises((NotFound, InputError), match="ami-00000000"):
        find_machine_image(where, ec2_options(SPOT, image="ami-00000000"))
    with pytest.raises(UsageError, match="needs a disk of") as caught:
        small = replace(SPOT, disk_gb=usual.root_gb - 1)
        find_machine_image(where, ec2_options(small))
    assert "--disk-gb" in str(caught.value.hint)


def test_on_amazon_the_image_is_that_of_the_public_parameter(account_site: Site) -> None:
    # moto does not know Amazon's public parameters of this family: nothing else is taken instead.
    where = replace(account_site.connection, on=Target.AWS)
    assert USUAL.parameter.startswith("/aws/service/deeplearning/ami/x86_64/")
    with pytest.raises((NotFound, InputError), match="look up the newest Deep Learning"):
        find_machine_image(where, ec2_options(SPOT))


def test_a_machine_image_is_no_container(account_site: Site) -> None:
    options = ec2_options(SPOT, image="ami-0123456789")
    plan = account_site.plan(options)
    rows = dict(plan.rows())
    assert rows["machine image"] == "ami-0123456789"
    assert any(PUBLIC_IMAGE in note for note in plan.notes)


def test_the_plan_tells_the_hard_stop_and_counts_it(account_site: Site) -> None:
    options = ec2_options(SPOT, timeout_hours=2)
    plan = account_site.plan(options)
    rows = dict(plan.rows())
    assert "135 minutes" in rows["ends itself"]
    assert rows["instance profile"] == "cxr-machines"
    assert rows["here"].startswith("moto starts no machine")
    on_amazon = dict(account_site_on_amazon(account_site, options))
    assert "Deep Learning" in on_amazon["machine image"]
    assert "here" not in on_amazon
    assert plan.cost.worst_hours == pytest.approx(2.25)
    assert plan.cost.worst_usd == pytest.approx(2.25 * (0.526 + 100 * 0.08 / 730))
    assert worst_hours({"timeout_hours": 2}) == pytest.approx(2.25)
    assert worst_hours({}) == 0
    assert any("taken back" in note for note in plan.notes)
    with pytest.raises(UsageError, match="168 hours"):
        plan_custom(account_site.connection, MANIFEST, replace(options, timeout_hours=RULES.maximum_timeout_hours + 1))


def account_site_on_amazon(site: Site, options: CustomOptions) -> list[tuple[str, str]]:
    where: Connection = replace(site.connection, on=Target.AWS, endpoint=None)
    return plan_custom(where, MANIFEST, options).rows()


def script_of(site: Site) -> str:
    (machine,) = site.instances()
    told = site.ec2.describe_instance_attribute(InstanceId=machine["InstanceId"], Attribute="userData")
    return b64decode(told["UserData"]["Value"]).decode()
