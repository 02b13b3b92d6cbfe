"""A page's machine on EC2, as moto tells of it: started once, reached by whom it should be, ended, found by clean."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ec2_site import Site, ec2_options, without_profile
from hosted_page import make_page
from page_machine_sandbox import OFFICE, OPTIONS, PageSite, page_site

from cxr.cloud.aws.ec2 import engine
from cxr.cloud.aws.ec2.page_machines import Ec2PageServers
from cxr.cloud.aws.jobs import check_attachable, labelled_jobs, unfinished_jobs
from cxr.cloud.aws.prices import AMAZON
from cxr.cloud.cleaning.found import Found, Hunt
from cxr.cloud.cleaning.leftovers import ORDER, Leftover, Scope, Sort
from cxr.cloud.cleaning.places import places_of
from cxr.cloud.hosting.access import networks_of
from cxr.cloud.hosting.machine import end_serving, plan_ending
from cxr.cloud.hosting.record import read_record
from cxr.cloud.hosting.servers import check_hours
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.prices.table import price_table
from cxr.errors import NotFound, UsageError


@pytest.fixture
def place(account_site: Site, page: Path) -> PageSite:
    return page_site(account_site, page)


def record(place: PageSite) -> Any:
    return read_record(place.site.get("page/hosted.json"), "page").server


def put_server(place: PageSite, server: dict[str, Any]) -> None:
    said = read_record(place.site.get("page/hosted.json"), "page")
    place.site.put("page/hosted.json", replace(said, server=server).to_json())


def leftovers(site: Site, *runs: str, **scope: Any) -> list[Leftover]:
    found = Found(site.connection, (), (), places_of(site.connection, ()))
    hunt = Hunt(site.connection, found, Scope(runs=frozenset(runs), **scope), frozenset(runs))
    return list(engine.leftovers(hunt, price_table(None, AMAZON)))


def allowed(place: PageSite) -> list[Any]:
    (group,) = place.groups()
    return [(one["IpProtocol"], one["FromPort"], one["ToPort"], one["IpRanges"]) for one in group["IpPermissions"]]


def test_one_machine_is_started_that_nobody_else_reaches_and_that_ends_by_itself(place: PageSite) -> None:
    server = place.serve()
    (told,) = place.instances()
    assert (told["InstanceId"], told["InstanceType"], told["State"]["Name"]) == (server.id, "t3.micro", "running")
    assert told["MetadataOptions"]["HttpTokens"] == "required"
    assert "KeyName" not in told
    assert told["RootDeviceName"] == "/dev/xvda"
    assert [one["GroupName"] for one in told["SecurityGroups"]] == [f"cxr-{place.servers.run}"]
    assert allowed(place) == [("tcp", 80, 80, [{"CidrIp": OFFICE}])]
    tags = {one["Key"]: one["Value"] for one in told["Tags"]}
    assert tags["cxr-run"].startswith("page-")
    assert tags["cxr-place"]
    ec2, id_ = place.site.ec2, server.id
    shutdown = ec2.describe_instance_attribute(InstanceId=id_, Attribute="instanceInitiatedShutdownBehavior")
    assert shutdown["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    data = ec2.describe_instance_attribute(InstanceId=id_, Attribute="userData")["UserData"]["Value"]
    script = base64.b64decode(data).decode()
    commands = [line for line in script.splitlines() if line and "=" not in line.split()[0] and line[0] != "#"]
    assert commands[:2] == ["set -uo pipefail", 'shutdown -h "+$HARD_STOP_MINUTES" || poweroff']
    assert f"PAGE=s3://{place.site.connection.bucket}/page\n" in script
    (volume,) = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [id_]}])["Volumes"]
    (mapping,) = told["BlockDeviceMappings"]
    assert (volume["Encrypted"], mapping["DeviceName"], mapping["Ebs"]["DeleteOnTermination"]) == (
        True, "/dev/xvda", True,
    )  # fmt: skip
    assert server.address == told["PublicDnsName"]
    assert datetime.fromisoformat(server.ends) == told["LaunchTime"] + timedelta(hours=24)
    assert not place.host.look().public  # type: ignore[union-attr]
    assert record(place) | {"asked": ""} == {
        "number": 1, "asked": "", "resource": server.resource, "machine": "t3.micro", "ends": server.ends,
    }  # fmt: skip


def test_the_second_time_only_the_files_are_renewed(place: PageSite) -> None:
    first = place.serve()
    assert place.plan().nothing_to_do
    make_page(place.page, **{"index.html": b"new"})
    plan = place.plan(replace(OPTIONS, hours=48.0))
    assert [one.file.name for one in plan.page.sending] == ["index.html", "server/files.json"]
    assert any(first.ends in words for _, words in plan.rows())
    assert place.serve() == first
    assert place.site.get("page/index.html") == b"new"
    assert len(place.instances()) == 1


def test_who_may_reach_it_is_exactly_who_is_named_last(place: PageSite) -> None:
    place.serve()
    (group,) = place.groups()
    shell = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    place.site.ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[shell])
    assert place.plan().changes_access
    place.serve()
    assert allowed(place) == [("tcp", 80, 80, [{"CidrIp": OFFICE}])]
    home = replace(OPTIONS, networks=("198.51.100.0/24", "2001:db8::/32"))
    place.serve(home)
    assert allowed(place) == [("tcp", 80, 80, [{"CidrIp": "198.51.100.0/24"}])]
    assert not place.plan(home).changes_access


@pytest.mark.parametrize(
    ("minutes_ago", "resource", "number"), [(1, "", 4), (60, "", 5), (1, "arn:gone", 5)], ids=["asked", "old", "ended"]
)
def test_a_launch_that_was_not_answered_is_asked_again_for_a_while(
    place: PageSite, minutes_ago: int, resource: str, number: int
) -> None:
    ended = place.serve()
    place.site.ec2.terminate_instances(InstanceIds=[ended.id])
    asked = (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat(timespec="seconds")
    put_server(place, {"number": 4, "asked": asked, "resource": resource})
    server = place.serve()
    assert server.id != ended.id
    assert record(place)["number"] == number


def test_ending_takes_machine_group_and_files(place: PageSite) -> None:
    place.serve()
    plan = plan_ending(place.host, place.servers, "page/")
    assert "is ended" in dict(plan.rows())["machine"]
    end_serving(plan)
    assert [one["State"]["Name"] for one in place.instances()] == ["terminated"]
    assert place.groups() == []
    assert place.site.keys() == []
    with pytest.raises(NotFound):
        plan_ending(place.host, place.servers, "page/")


def test_a_machine_whose_files_are_gone_is_ended_too(place: PageSite) -> None:
    place.serve()
    place.site.s3.delete_object(Bucket=place.site.connection.bucket, Key="page/hosted.json")
    assert not end_serving(plan_ending(place.host, place.servers, "page/"))
    assert [one["State"]["Name"] for one in place.instances()] == ["terminated"]


def test_clean_lists_the_machine_with_its_price_and_its_group_and_takes_both(place: PageSite) -> None:
    server, run = place.serve(), place.servers.run
    jobs = Site(replace(place.site.connection, prefix="cxr"))
    machine, group = leftovers(jobs, everything=True)
    assert (machine.sort, machine.name, machine.run, machine.kept) == (Sort.MACHINE, server.resource, run, "")
    assert (
        f"serves {place.site.connection.base_url} until {server.ends}; deleting it ends the page NOW" in machine.detail
    )
    assert machine.usd_per_month == pytest.approx((0.0104 + 0.005) * 730 + 8 * 0.08)
    assert (group.sort, group.run, group.usd_per_month) == (Sort.GROUP, run, 0.0)
    assert ORDER[Sort.MACHINE] < ORDER[Sort.GROUP]
    assert [one.name for one in leftovers(jobs, run)] == [machine.name, group.name]
    assert leftovers(jobs, "custom-0123456789") == []
    another = Site(replace(place.site.connection, bucket="another-bucket"))
    assert leftovers(another, everything=True) == []
    place.site.ec2.stop_instances(InstanceIds=[server.id])
    assert "has served" in leftovers(jobs, everything=True)[0].detail
    engine.remove(jobs.connection, machine)
    engine.remove(jobs.connection, group)
    assert leftovers(jobs, everything=True) == []
    with pytest.raises(NotFound):
        engine.remove(jobs.connection, group)


@pytest.mark.slow
def test_a_pages_machine_is_nobodys_job(place: PageSite) -> None:
    server, connection = place.serve(), place.site.connection
    job = Site(replace(connection, prefix="cxr")).submit(options=ec2_options())
    for listed in (labelled_jobs(connection, [JobKind.CUSTOM]), unfinished_jobs(connection)):
        resources = [seen.resource for _, seen in listed]
        assert job.resource in resources
        assert server.resource not in resources
    with pytest.raises(UsageError, match="serves a page"):
        check_attachable(JobKind.CUSTOM, engine.look(connection, server.resource))


def test_an_arm_machine_gets_an_arm_image(place: PageSite) -> None:
    place.serve(replace(OPTIONS, machine="t4g.nano"))
    (told,) = place.instances()
    (image,) = place.site.ec2.describe_images(ImageIds=[told["ImageId"]])["Images"]
    assert "arm64" in image["Name"]


def test_what_cannot_be_started_is_refused_before_anything_is_sent(place: PageSite) -> None:
    with pytest.raises(UsageError, match=r"no page is served from the machine type 'p2\.xlarge'"):
        place.plan(replace(OPTIONS, machine="p2.xlarge"))
    with pytest.raises(UsageError, match="instance profile"):
        Ec2PageServers(without_profile(place.site), price_table(None, AMAZON)).rows(OPTIONS)
    known = price_table(None, AMAZON)
    entries = {key: price for key, price in known.entries.items() if key != ("addresses", "public-ipv4")}
    with pytest.raises(UsageError, match="the price of 'public-ipv4' is not known") as raised:
        Ec2PageServers(place.site.connection, replace(known, entries=entries)).price("t3.micro")
    assert "[addresses.public-ipv4]" in (raised.value.hint or "")
    assert place.site.keys() == []
    assert place.instances() == []


@pytest.mark.parametrize("hours", [0, -1, 720.5, float("nan")])
def test_hours_have_bounds(hours: float) -> None:
    with pytest.raises(UsageError, match="hours"):
        check_hours(hours)


@pytest.mark.parametrize(
    ("allow", "public", "networks"),
    [
        (["203.0.113.7"], False, ("203.0.113.7/32",)),
        (["2001:db8::/32", "10.0.0.0/8", "10.0.0.0/8"], False, ("10.0.0.0/8", "2001:db8::/32")),
        ([], True, ("0.0.0.0/0",)),
        (["0.0.0.0/0"], True, ("0.0.0.0/0",)),
        (["::/0"], True, ("0.0.0.0/0", "::/0")),
    ],
)
def test_networks_are_read(allow: list[str], public: bool, networks: tuple[str, ...]) -> None:
    assert networks_of(allow, public=public) == networks


@pytest.mark.parametrize(
    ("allow", "public", "said"),
    [
        ([], False, "who may see it is not said"),
        (["me"], False, "not looked up"),
        (["0.0.0.0/0"], False, "everybody"),
        (["0.0.0.0/1", "128.0.0.0/1"], False, "everybody"),
        (["::/0"], False, "everybody"),
        (["203.0.113.7/24"], False, "no network"),
        (["office"], False, "no network"),
        (["203.0.113.7"], True, "leave|somebody"),
    ],
)
def test_networks_that_do_not_fit_are_refused(allow: list[str], public: bool, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        networks_of(allow, public=public)
