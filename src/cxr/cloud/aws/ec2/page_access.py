"""The security group of a page's machine: port 80 from certain networks, and nothing else in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cxr.cloud.aws.clients import aws_errors, client
from cxr.cloud.aws.ec2.network import default_vpc, find_group
from cxr.cloud.aws.names import PREFIX, tags_of
from cxr.cloud.connection import Connection
from cxr.cloud.hosting.access import order_of
from cxr.errors import InputError, NotFound

PORT: Final = 80


def group_name(run: str) -> str:
    """Of the group of a page's machines, by the run that they are tagged with."""
    return f"{PREFIX}{run}"


def page_group(connection: Connection, run: str) -> Mapping[str, Any] | None:
    """The group, None when there is none."""
    return find_group(connection, default_vpc(connection), group_name(run))


def networks_in(group: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The networks that reach the page's port, in order. What else somebody has let in is shown with its protocol and
    port, so that it never equals what is asked for."""
    rules = (group or {}).get("IpPermissions", ())
    return tuple(sorted((_shown(rule, network) for rule in rules for network in _networks(rule)), key=order_of))


def let_in(connection: Connection, run: str, networks: tuple[str, ...], tags: Mapping[str, str]) -> str:
    """Make the group if need be, and give it exactly these networks; its id. What is too much goes first."""
    group = page_group(connection, run) or _make(connection, run, tags)
    ec2, id_ = client(connection, "ec2"), str(group["GroupId"])
    if networks_in(group) == tuple(sorted(networks, key=order_of)):
        return id_
    with aws_errors(f"change the security group {group_name(run)}"):
        if group.get("IpPermissions"):
            ec2.revoke_security_group_ingress(GroupId=id_, IpPermissions=group["IpPermissions"])
        ec2.authorize_security_group_ingress(GroupId=id_, IpPermissions=[_permission(networks)])
    return id_


def drop_group(connection: Connection, run: str) -> None:
    """Delete the group; one that is gone is gone. Raises InputError while a machine has it."""
    group = page_group(connection, run)
    if group is None:
        return
    try:
        with aws_errors(f"delete the security group {group_name(run)}"):
            client(connection, "ec2").delete_security_group(GroupId=str(group["GroupId"]))
    except NotFound:
        return


def _make(connection: Connection, run: str, tags: Mapping[str, str]) -> Mapping[str, Any]:
    name = group_name(run)
    try:
        with aws_errors(f"make the security group {name}"):
            # What was just made may not be listed yet.
            made: Mapping[str, Any] = client(connection, "ec2").create_security_group(
                GroupName=name,
                Description="cxr: a page, seen from certain networks",
                VpcId=default_vpc(connection),
                TagSpecifications=[{"ResourceType": "security-group", "Tags": tags_of({**tags, "Name": name})}],
            )
    except InputError:
        # Another command was faster.
        found = page_group(connection, run)
        if found is None:
            raise
        return found
    return made


def _permission(networks: tuple[str, ...]) -> dict[str, Any]:
    ranges: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT}
    if four := [{"CidrIp": one} for one in networks if ":" not in one]:
        ranges["IpRanges"] = four
    if six := [{"CidrIpv6": one} for one in networks if ":" in one]:
        ranges["Ipv6Ranges"] = six
    return ranges


def _networks(rule: Mapping[str, Any]) -> list[str]:
    four = [str(one["CidrIp"]) for one in rule.get("IpRanges", ())]
    six = [str(one["CidrIpv6"]) for one in rule.get("Ipv6Ranges", ())]
    groups = [str(one.get("GroupId", "a group")) for one in rule.get("UserIdGroupPairs", ())]
    lists = [str(one["PrefixListId"]) for one in rule.get("PrefixListIds", ())]
    return [*four, *six, *groups, *lists]


def _shown(rule: Mapping[str, Any], network: str) -> str:
    usual = (rule.get("IpProtocol"), rule.get("FromPort"), rule.get("ToPort")) == ("tcp", PORT, PORT)
    named = "/" in network
    return network if usual and named else f"{rule.get('IpProtocol')} {rule.get('FromPort')} {network}"
