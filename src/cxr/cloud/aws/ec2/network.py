"""Who may reach an instance: nobody. It asks, and is not asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cxr.cloud.aws.clients import aws_errors, client
from cxr.cloud.connection import Connection
from cxr.errors import InputError

#: The security group of all machines that train: no inbound rule at all.
GROUP_NAME: Final = "cxr-no-inbound"


def no_inbound_group(connection: Connection) -> str:
    """The id of the default VPC's group without inbound rules, made when it is missing. Raises InputError when there is
    no default VPC, and when somebody has given the group an inbound rule."""
    vpc = default_vpc(connection)
    found = find_group(connection, vpc, GROUP_NAME) or _make(connection, vpc)
    if found.get("IpPermissions"):
        raise InputError(
            f"the security group {GROUP_NAME} ({found['GroupId']}) lets something in: somebody has changed it",
            hint="take its inbound rules away, or delete the group: it is made anew",
        )
    return str(found["GroupId"])


def default_vpc(connection: Connection) -> str:
    """The id of the region's default VPC. Raises InputError when there is none."""
    with aws_errors("look for the default VPC"):
        answer = client(connection, "ec2").describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])
    if not answer.get("Vpcs"):
        raise InputError(
            f"the account has no default VPC in {connection.region}, in which the machine would start",
            hint=f"aws ec2 create-default-vpc --region {connection.region}",
        )
    return str(answer["Vpcs"][0]["VpcId"])


def find_group(connection: Connection, vpc: str, name: str) -> Mapping[str, Any] | None:
    """A security group by its name, None when there is none."""
    wanted = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": [name]}]
    with aws_errors(f"look for the security group {name}"):
        groups = client(connection, "ec2").describe_security_groups(Filters=wanted).get("SecurityGroups") or [None]
    found: Mapping[str, Any] | None = groups[0]
    return found


def _make(connection: Connection, vpc: str) -> Mapping[str, Any]:
    tags = [{"Key": "Name", "Value": GROUP_NAME}, {"Key": "cxr", "Value": "kept: it costs nothing"}]
    try:
        with aws_errors(f"make the security group {GROUP_NAME}"):
            made: Mapping[str, Any] = client(connection, "ec2").create_security_group(
                GroupName=GROUP_NAME,
                Description="cxr: machines that train; nothing comes in",
                VpcId=vpc,
                TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
            )
    except InputError:
        # Another launch was faster.
        found = find_group(connection, vpc, GROUP_NAME)
        if found is None:
            raise
        return found
    return made  # a listing may not know it yet
