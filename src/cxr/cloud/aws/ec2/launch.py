"""Sending what a machine needs, and starting exactly one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cxr.cloud.aws.clients import InUseError, aws_errors, client
from cxr.cloud.aws.ec2.machine_images import MachineImage, find_machine_image
from cxr.cloud.aws.ec2.machines import OUTPUT_TAG, TIMEOUT_TAG, Machine, describe, machines_of, note_launch
from cxr.cloud.aws.ec2.network import no_inbound_group
from cxr.cloud.aws.ec2.rules import profile_of
from cxr.cloud.aws.ec2.states import find_launched
from cxr.cloud.aws.ec2.user_data import user_data
from cxr.cloud.aws.names import service_name, tags_of
from cxr.cloud.jobs.launching import Submitted
from cxr.cloud.plans.launch import LaunchPlan
from cxr.cloud.trainer.job import WEIGHTS_WORDS, CustomOptions, job_output_url
from cxr.cloud.trainer.wheel import WHEEL_NAME, build_wheel
from cxr.cloud.uploading import put_manifest
from cxr.errors import Fault
from cxr.manifests.manifest import Manifest


def submit(
    plan: LaunchPlan, manifest: Manifest, options: CustomOptions, *, on_step: Callable[[str], None]
) -> Submitted:
    """Send the wheel, the manifest (and a weights file), start one instance, return its ARN at once. An earlier
    instance of the same plan is found by its tag and returned instead.

    Raises UsageError without an instance profile, InputError without a default VPC, NotFound without the machine's
    image, NotAllowed for a quota that is used up, Unreachable when there is no such machine at the moment.
    """
    profile_of(plan.connection)
    if earlier := _earlier(plan):
        return Submitted(earlier, found=True)
    on_step("sending the trainer and the manifest")
    _send_inputs(plan, manifest, options)
    image = find_machine_image(plan.connection, options)
    resume_from = _checkpoints_of_earlier_attempts(plan)
    if resume_from:
        on_step(f"it will go on from the checkpoints at {resume_from}")
    on_step(f"starting one {options.hardware.machine} from {image.id}")
    request = instance_request(plan, options, image, no_inbound_group(plan.connection), resume_from)
    try:
        with aws_errors("start the instance"):
            answer = client(plan.connection, "ec2").run_instances(**request)
    except InUseError:
        # The same token with another image or group: an earlier, interrupted launch has made it.
        if found := _earlier(plan):
            return Submitted(found, found=True)
        raise
    started = machines_of(plan.connection, answer)
    if len(started) != 1:
        raise Fault(f"EC2 answers {len(started)} instances for one of {plan.job_id}")
    note_launch(plan.connection, replace(started[0], tags=_tags(plan, options)))
    return Submitted(started[0].resource)


def instance_request(
    plan: LaunchPlan, options: CustomOptions, image: MachineImage, group: str, resume_from: str = ""
) -> dict[str, Any]:
    """The arguments of RunInstances (API_RunInstances): one machine that nobody can reach, whose shutdown is its end,
    and whose disk goes with it. The token makes a repetition find the first."""
    hardware, profile = options.hardware, profile_of(plan.connection)
    tags = tags_of({**_tags(plan, options), "Name": service_name(plan)})
    tagged = ["instance", "volume", *(["spot-instances-request"] if hardware.spot else [])]
    request: dict[str, Any] = {
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": plan.fingerprint,
        "ImageId": image.id,
        "InstanceType": hardware.machine,
        "UserData": user_data(plan, options, resume_from=resume_from),
        "IamInstanceProfile": {"Arn" if profile.startswith("arn:") else "Name": profile},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "SecurityGroupIds": [group],
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [
            {
                "DeviceName": image.root_device,
                "Ebs": {
                    "VolumeSize": hardware.disk_gb,
                    "VolumeType": "gp3",
                    "Encrypted": True,
                    "DeleteOnTermination": True,
                },
            }
        ],
        "TagSpecifications": [{"ResourceType": one, "Tags": tags} for one in tagged],
    }
    if hardware.spot:
        request["InstanceMarketOptions"] = {
            "MarketType": "spot",
            "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
        }
    return request


def _earlier(plan: LaunchPlan) -> str:
    """The ARN of the plan's machine, "" when there is none. Its record is written when the launch could not."""
    seen = find_launched(plan)
    if seen is None:
        return ""
    machine = describe(plan.connection, seen.resource)
    if machine.output_url and machine.state and not _is_noted(plan, machine):
        note_launch(plan.connection, machine)
    return seen.resource


def _is_noted(plan: LaunchPlan, machine: Machine) -> bool:
    return plan.connection.open(machine.output_url).stat(f"machines/{machine.id}.json") is not None


def _send_inputs(plan: LaunchPlan, manifest: Manifest, options: CustomOptions) -> None:
    store = plan.connection.store(f"jobs/{plan.job_id}")
    store.replace_bytes(WHEEL_NAME, build_wheel(), content_type="application/zip")
    # The job's own copy: the one beside the images follows later uploads.
    put_manifest(store, manifest, plan.connection.images_url)
    if options.weights not in WEIGHTS_WORDS:
        path = Path(options.weights)
        store.replace_file(f"weights/{path.name}", path)


def _checkpoints_of_earlier_attempts(plan: LaunchPlan) -> str:
    """The URL of those of the latest attempt that has left some: a spot machine that was taken back. The trainer takes
    only those of the same training."""
    for attempt in range(plan.attempt - 1, 0, -1):
        job = replace(plan, attempt=attempt).job_id
        if next(iter(plan.connection.store(f"jobs/{job}/checkpoints").list("cxr-")), None) is not None:
            return f"{plan.connection.base_url}/jobs/{job}/checkpoints"
    return ""


def _tags(plan: LaunchPlan, options: CustomOptions) -> dict[str, str]:
    return {**plan.labels, OUTPUT_TAG: job_output_url(plan), TIMEOUT_TAG: f"{options.timeout_hours:g}"}
