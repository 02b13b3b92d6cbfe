"""What an instance is told to do when it starts: a script of bash, with its parameters quoted at its top."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from cxr.cloud.aws.ec2.machine_images import container_of
from cxr.cloud.aws.ec2.rules import hard_stop_minutes
from cxr.cloud.plans.launch import LaunchPlan
from cxr.cloud.trainer.job import WEIGHTS_WORDS, CustomOptions, job_output_url, trainer_arguments
from cxr.cloud.trainer.wheel import WHEEL_NAME
from cxr.errors import UsageError

#: Bytes of user data before they are encoded (Amazon EC2 User Guide, "Run commands when you launch an EC2 instance with
#: user data input").
MAXIMUM_BYTES: Final = 16 * 1024
#: Where SageMaker's containers find their inputs, and where they look for a model: the trainer knows that layout.
CONTAINER_ROOT: Final = "/opt/ml"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the script works, and how often (seconds) it sends the log and looks for an interruption notice (User
    Guide, "Spot Instance interruption notices": every 5 seconds)."""

    root: str = CONTAINER_ROOT
    work: str = "/var/lib/cxr"
    send_seconds: int = 60
    watch_seconds: float = 5


def user_data(
    plan: LaunchPlan, options: CustomOptions, *, resume_from: str = "", surroundings: Surroundings | None = None
) -> str:
    """The script of a plan's machine; `resume_from` is the URL of a folder of checkpoints. There is no secret in it:
    the machine's role reads and writes the bucket. Raises UsageError when it is longer than EC2 takes."""
    where = surroundings or Surroundings()
    weights = "" if options.weights in WEIGHTS_WORDS else options.weights.rsplit("/", 1)[-1]
    inputs = f"{CONTAINER_ROOT}/input/data"
    told = trainer_arguments(
        f"{inputs}/training/manifest.csv", options, f"{inputs}/weights/{weights}" if weights else options.weights
    )
    parameters = {
        "JOB": plan.job_id,
        "OUTPUT": job_output_url(plan),
        "REGION": plan.connection.region,
        "IMAGE": container_of(options),
        "WHEEL": WHEEL_NAME,
        "WEIGHTS": weights,
        "RESUME_FROM": resume_from,
        "SPOT": str(int(options.hardware.spot)),
        "TIMEOUT_SECONDS": str(math.ceil(options.timeout_hours * 3600)),
        "HARD_STOP_MINUTES": str(hard_stop_minutes(options.timeout_hours)),
        "ROOT": where.root,
        "WORK": where.work,
        "SEND_SECONDS": str(where.send_seconds),
        "WATCH_SECONDS": f"{where.watch_seconds:g}",
    }
    lines = [f"{name}={shlex.quote(value)}" for name, value in parameters.items()]
    lines.append(f"GPU_FLAGS=({'--gpus all' if options.hardware.gpus else ''})")
    lines.append(f"TRAINER_ARGUMENTS=({shlex.join(told)})")
    template = files("cxr.cloud.aws.ec2").joinpath("user_data.sh").read_text(encoding="utf-8")
    script = "#!/bin/bash\n" + "\n".join(lines) + "\n" + template
    if len(script.encode()) > MAXIMUM_BYTES:
        raise UsageError(
            f"the machine's instructions are {len(script.encode()):,} bytes, EC2 takes {MAXIMUM_BYTES:,}",
            hint="fewer or shorter --set options, or a recipe file of your own",
        )
    return script
