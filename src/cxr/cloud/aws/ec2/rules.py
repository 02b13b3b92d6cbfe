"""What can be asked of the EC2 engine, and what a reader of its plan has to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cxr.cloud.aws.ec2.machine_images import AMI_PREFIX, container_of, image_words
from cxr.cloud.connection import Connection
from cxr.cloud.trainer.job import CustomOptions
from cxr.cloud.trainer.plans import TrainerRules
from cxr.errors import UsageError

#: Minutes that the machine may live beyond the timeout, which is the trainer's: to start, to fetch the container's
#: image, to send the model. After them it shuts down, whatever it is doing.
MARGIN_MINUTES: Final = 15
#: EC2 itself ends nothing: a week is cxr's own bound, as long as that of a job on Vertex AI.
RULES = TrainerRules(
    maximum_timeout_hours=168.0,
    maximum_trials=1,
    maximum_parallel=1,
    job="EC2 instance",
    tuning_job="",
    spot="a spot instance can be taken back, which ends the job: launched again, it goes on from its last checkpoint",
    overtime_hours=MARGIN_MINUTES / 60,
)


def rows(connection: Connection, options: CustomOptions) -> Iterator[tuple[str, str]]:
    """What the plan's table tells beside the request."""
    yield "machine image", image_words(connection, options)
    yield "instance profile", profile_of(connection)
    stop = hard_stop_minutes(options.timeout_hours)
    if not connection.billed:
        yield "here", "moto starts no machine: nothing is trained, and the job is RUNNING until its hard stop"
    yield "ends itself", f"when the trainer has ended, and {stop} minutes after its start at the latest (hard stop)"


def notes(options: CustomOptions) -> tuple[str, ...]:
    """What a reader of the plan must know beside price and spot."""
    told = (
        f"the timeout is the trainer's; the machine itself is shut down, and so terminated, {MARGIN_MINUTES} minutes "
        "after it at the latest: they are part of the worst case"
    )
    if not options.image.startswith(AMI_PREFIX):
        return (told,)
    needs = f"{options.image} needs docker (with NVIDIA's toolkit on a GPU machine)"
    return told, f"{needs}; the container is {container_of(options)}"


def hard_stop_minutes(timeout_hours: float) -> int:
    """Minutes from the machine's start to its end at the latest."""
    return -(-round(timeout_hours * 3600) // 60) + MARGIN_MINUTES


def worst_hours(details: Mapping[str, Any]) -> float:
    """Hours that a job is paid for at most, by its details; 0 when they do not tell its timeout."""
    hours = float(details.get("timeout_hours") or 0.0)
    return hours + RULES.overtime_hours if hours else 0.0


def check_profile(connection: Connection) -> None:
    """Raises UsageError when no instance profile is set."""
    profile_of(connection)


def profile_of(connection: Connection) -> str:
    """The instance profile, a name or an ARN. Raises UsageError when none is set."""
    if not connection.instance_profile:
        raise UsageError(
            "no instance profile is set: the machine needs a role that may read and write the bucket",
            hint="CXR_INSTANCE_PROFILE, or instance_profile = … in cxr.toml: a name or an ARN",
        )
    return connection.instance_profile
