"""A page on a machine of EC2: found by its tag, started once, ended with its security group."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from cxr.cloud.aws.clients import InUseError, aws_errors, client
from cxr.cloud.aws.ec2.machine_images import MachineImage, PublicImage, find_public_image
from cxr.cloud.aws.ec2.machines import ALIVE, OUTPUT_TAG, PAGE_RUN, TIMEOUT_TAG, Machine, machines_of, with_tag
from cxr.cloud.aws.ec2.page_access import drop_group, let_in, networks_in, page_group
from cxr.cloud.aws.ec2.page_user_data import page_user_data
from cxr.cloud.aws.ec2.rules import profile_of
from cxr.cloud.aws.names import PREFIX, tags_of
from cxr.cloud.aws.offers import PAGE_MACHINES, Engine
from cxr.cloud.aws.prices import page_machine_price
from cxr.cloud.connection import Connection
from cxr.cloud.hosting.servers import PageServer, ServerOptions
from cxr.cloud.jobs.seen import RUN_LABEL
from cxr.cloud.plans.launch import PLACE_LABEL, place_label
from cxr.cloud.prices.table import Price, PriceTable
from cxr.errors import Fault, Unreachable, UsageError

#: GB (2^30 bytes) of the machine's disk, at least: the image is 8, the page less than 1.
DISK_GB: Final = 8
#: How often (seconds), and how many times, it is asked whether a machine runs, or has ended.
_ASK_S, _ASKS = 5, 60
#: States of a machine that serves, or is about to.
RUNNING: Final = ("pending", "running")


@dataclass(frozen=True, slots=True)
class Ec2PageServers:
    """See PageServers; the connection's prefix is the page's folder."""

    connection: Connection
    prices: PriceTable
    engine: str = str(Engine.EC2)
    usual_machine: str = "t3.micro"

    @property
    def region(self) -> str:
        """See PageServers."""
        return self.connection.region

    @property
    def run(self) -> str:
        """What the page's machines are tagged with: one run for each bucket and folder in a region."""
        said = {name: value for name, value in self.connection.identity().items() if name != "project"}
        return PAGE_RUN + hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:10]

    def rows(self, options: ServerOptions) -> list[tuple[str, str]]:
        """See PageServers."""
        rows = [
            ("machine image", image_of(options.machine).words),
            ("instance profile", profile_of(self.connection)),
        ]
        here = "moto starts no machine: nothing answers at its address"
        return rows if self.connection.billed else [*rows, ("here", here)]

    def price(self, machine: str) -> Price:
        """See PageServers."""
        image_of(machine)
        return page_machine_price(self.prices, machine, DISK_GB)

    def find(self) -> PageServer | None:
        """See PageServers. A stopped machine was stopped by somebody: it serves nothing, and counts as there."""
        found = with_tag(self.connection, RUN_LABEL, [self.run], [state for state in ALIVE if state != "shutting-down"])
        machine = min(found, key=lambda one: (one.state not in RUNNING, one.launched), default=None)
        return self._server(machine) if machine else None

    def allow(self, networks: tuple[str, ...]) -> None:
        """See PageServers."""
        let_in(self.connection, self.run, networks, self._labels)

    def start(self, options: ServerOptions, number: int) -> PageServer:
        """See PageServers. Raises NotFound without the machine's image, NotAllowed for a quota that is used up,
        Unreachable when there is no such machine at the moment, or it does not come up."""
        image = find_public_image(self.connection, image_of(options.machine))
        group = page_group(self.connection, self.run)
        if group is None:
            raise Fault(f"the security group of {self.run} is gone", hint="run the same command again")
        request = self._request(options, number, image, str(group["GroupId"]))
        try:
            with aws_errors("start the page's machine"):
                answer = client(self.connection, "ec2").run_instances(**request)
        except InUseError:
            # The same token with other arguments: an earlier, interrupted command has made it.
            if found := self.find():
                return found
            raise
        started = machines_of(self.connection, answer)
        if len(started) != 1:
            raise Fault(f"EC2 answers {len(started)} instances for one of {self.run}")
        self._wait("instance_running", started[0].id)
        return self.find() or self._server(replace(started[0], tags=self._tags(options)))

    def has_access_rules(self) -> bool:
        """See PageServers."""
        return page_group(self.connection, self.run) is not None

    def end(self, server: PageServer | None) -> None:
        """See PageServers. More than one, which two commands at once may have made, end together."""
        found = with_tag(self.connection, RUN_LABEL, [self.run], ALIVE)
        if found:
            with aws_errors(f"end {', '.join(one.id for one in found)}"):
                client(self.connection, "ec2").terminate_instances(InstanceIds=[one.id for one in found])
            self._wait("instance_terminated", *(one.id for one in found))
        drop_group(self.connection, self.run)

    @property
    def _labels(self) -> dict[str, str]:
        where = self.connection
        return {RUN_LABEL: self.run, PLACE_LABEL: place_label(where), OUTPUT_TAG: where.base_url}

    def _tags(self, options: ServerOptions) -> dict[str, str]:
        return {**self._labels, TIMEOUT_TAG: f"{options.hours:g}", "Name": f"{PREFIX}{self.run}"}

    def _request(self, options: ServerOptions, number: int, image: MachineImage, group: str) -> dict[str, Any]:
        """The arguments of RunInstances (API_RunInstances): shutdown is the machine's end, and its disk goes with it.
        CPU credits are `standard`: what a busy machine does beyond them is not charged, it is slower."""
        profile = profile_of(self.connection)
        ebs = {"VolumeSize": max(DISK_GB, image.root_gb), "VolumeType": "gp3", "Encrypted": True}
        tags = tags_of(self._tags(options))
        return {
            "MinCount": 1,
            "MaxCount": 1,
            "ClientToken": hashlib.sha256(f"{self.run} {number}".encode()).hexdigest(),
            "ImageId": image.id,
            "InstanceType": options.machine,
            "UserData": page_user_data(self.connection.base_url, self.connection.region, options.hours),
            "IamInstanceProfile": {"Arn" if profile.startswith("arn:") else "Name": profile},
            "InstanceInitiatedShutdownBehavior": "terminate",
            "SecurityGroupIds": [group],
            "CreditSpecification": {"CpuCredits": "standard"},
            "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 1},
            "BlockDeviceMappings": [{"DeviceName": image.root_device, "Ebs": {**ebs, "DeleteOnTermination": True}}],
            "TagSpecifications": [{"ResourceType": one, "Tags": tags} for one in ("instance", "volume")],
        }

    def _server(self, machine: Machine) -> PageServer:
        group = page_group(self.connection, self.run)
        return PageServer(
            machine.resource, machine.state, machine.type, machine.address, ends_of(machine), networks_in(group)
        )

    def _wait(self, waiter: str, *instances: str) -> None:
        from botocore.exceptions import WaiterError

        with aws_errors(f"wait for {', '.join(instances)}"):
            try:
                client(self.connection, "ec2").get_waiter(waiter).wait(
                    InstanceIds=list(instances), WaiterConfig={"Delay": _ASK_S, "MaxAttempts": _ASKS}
                )
            except WaiterError as error:
                raise Unreachable(
                    f"{', '.join(instances)}: {error}", hint="run the same command again: it finds the machine"
                ) from error


def image_of(machine: str) -> PublicImage:
    """The image of a machine type. Raises UsageError for one that no page is served from."""
    architecture = PAGE_MACHINES.get(machine)
    if architecture is None:
        raise UsageError(
            f"no page is served from the machine type {machine!r}", hint=f"--machine {' or '.join(PAGE_MACHINES)}"
        )
    # AL2023 User Guide, "Launching AL2023 using the SSM parameter".
    name = f"al2023-ami-kernel-default-{architecture}"
    return PublicImage(
        f"the newest Amazon Linux 2023 ({architecture})", parameter=f"/aws/service/ami-amazon-linux-latest/{name}"
    )


def ends_of(machine: Machine) -> str:
    """When a page's machine shuts itself down (ISO, UTC), "" when its launch is not told."""
    if not machine.launched:
        return ""
    return (datetime.fromisoformat(machine.launched) + timedelta(hours=machine.timeout_hours)).isoformat()
