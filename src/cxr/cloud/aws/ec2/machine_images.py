"""The machine image (AMI) that an instance starts from: asked for, or the newest with NVIDIA's driver and docker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cxr.cloud.aws.clients import aws_errors, client
from cxr.cloud.connection import Connection
from cxr.cloud.trainer.job import PUBLIC_IMAGE, CustomOptions
from cxr.errors import NotFound, UsageError

#: What a machine image's name begins with, where a container's image may be asked for, too.
AMI_PREFIX: Final = "ami-"


@dataclass(frozen=True, slots=True)
class PublicImage:
    """How the usual image is found: by a public parameter of Systems Manager, or (where there is none) by the pattern
    of its name among Amazon's own."""

    words: str
    parameter: str = ""
    pattern: str = ""


#: On Amazon. The parameter: Deep Learning AMIs developer guide, "Retrieve AMI ID" (x86, with docker, NVIDIA's container
#: toolkit and the AWS command; G4dn, G5, G6, G6e, P4d).
USUAL: Final = PublicImage(
    "the newest Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04)",
    parameter="/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
)
#: moto has none of these images, and starts no machine: there any will do.
USUAL_OF_MOTO: Final = PublicImage("an Amazon Linux image of moto's", pattern="amzn-ami-hvm-*")


@dataclass(frozen=True, slots=True)
class MachineImage:
    """An image: its id, its root device's name, and the least size of that in GB (2^30 bytes)."""

    id: str
    root_device: str
    root_gb: int


def image_words(connection: Connection, options: CustomOptions) -> str:
    """For a plan, before anybody is asked."""
    return options.image if options.image.startswith(AMI_PREFIX) else _usual(connection).words


def container_of(options: CustomOptions) -> str:
    """The container's image: what was asked for, unless that is the machine's image."""
    return PUBLIC_IMAGE if options.image.startswith(AMI_PREFIX) else options.image


def find_machine_image(connection: Connection, options: CustomOptions) -> MachineImage:
    """The image to start from. Raises NotFound when there is none, UsageError when its root volume is larger than the
    disk that is asked for."""
    asked = options.image if options.image.startswith(AMI_PREFIX) else _id_of(connection, _usual(connection))
    found = _look_at(connection, asked)
    if found.root_gb > options.hardware.disk_gb:
        raise UsageError(
            f"the machine image {asked} needs a disk of {found.root_gb} GB", hint=f"--disk-gb {found.root_gb} or more"
        )
    return found


def find_public_image(connection: Connection, image: PublicImage) -> MachineImage:
    """A public image as it is now. Raises NotFound when there is none."""
    return _look_at(connection, _id_of(connection, image))


def _look_at(connection: Connection, asked: str) -> MachineImage:
    with aws_errors(f"look at the machine image {asked}"):
        listed = client(connection, "ec2").describe_images(ImageIds=[asked]).get("Images", [])
    if not listed:
        raise NotFound(f"there is no machine image {asked} in {connection.region}", hint="images are of one region")
    return _image(listed[0])


def _usual(connection: Connection) -> PublicImage:
    return USUAL if connection.billed else USUAL_OF_MOTO


def _id_of(connection: Connection, usual: PublicImage) -> str:
    if usual.parameter:
        with aws_errors(f"look up {usual.words}"):
            answer = client(connection, "ssm").get_parameter(Name=usual.parameter)
        return str(answer["Parameter"]["Value"])
    with aws_errors(f"look for {usual.words}"):
        answer = client(connection, "ec2").describe_images(
            Owners=["amazon"], Filters=[{"Name": "name", "Values": [usual.pattern]}]
        )
    names = sorted((str(one["Name"]), str(one["ImageId"])) for one in answer.get("Images", ()))
    if not names:
        raise NotFound(f"there is no machine image {usual.pattern} in {connection.region}", hint="--image ami-…")
    return names[-1][1]


def _image(told: Mapping[str, Any]) -> MachineImage:
    root = str(told.get("RootDeviceName") or "/dev/sda1")
    disks = told.get("BlockDeviceMappings") or ()
    sizes = [int((disk.get("Ebs") or {}).get("VolumeSize") or 0) for disk in disks if disk.get("DeviceName") == root]
    return MachineImage(str(told["ImageId"]), root, max(sizes, default=0))
