"""The clouds that the suite is run against: how each is started here, and what of it the tests cannot know."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from cxr.cloud.aws.local import process as amazon
from cxr.cloud.emulator import process as google
from cxr.cloud.provider import AutoMLWishes
from cxr.settings import Settings, Target

HERE = Path(__file__).parent
TINY_IMAGE = HERE / "tiny_image"
SOURCE = Path(sys.modules["cxr"].__file__ or "").parents[1]
_TESTS = HERE.parents[1] / "cloud"
#: Programs in the place of AutoML and of its predictions.
TINY_PROGRAMS: Mapping[str, str] = {
    "stand_in": f"{sys.executable} {_TESTS / 'tiny_exporter.py'}",
    "scorer": f"{sys.executable} {HERE / 'plain_scorer.py'}",
}
#: By the cloud's name: what AutoML is asked for so that its model predicts on the service. Google's models for devices,
#: the usual ones, do not.
PREDICTING: Mapping[str, AutoMLWishes] = {
    "Google": AutoMLWishes(model_type="cloud", budget_node_hours=8),
    "Amazon": AutoMLWishes(),
}


@dataclass(frozen=True)
class Cloud:
    """One cloud on this machine: its server, where that keeps its state, another region of its, what its scripted
    failure of a training job is, how requests that make one and that ask for one are known, and what has to be
    installed."""

    target: Target
    process: ModuleType
    state: Callable[[Settings], Path]
    other_region: str
    quota_failure: Mapping[str, Any]
    no_outcomes: Mapping[str, Any]
    makes_a_job: Callable[[str, str, Mapping[str, str]], bool]
    asks_for_a_job: Callable[[str, str, Mapping[str, str]], bool]
    needs: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        """What is not installed."""
        return [name for name in self.needs if not _is_installed(name)]


CLOUDS: Mapping[Target, Cloud] = {
    Target.EMULATOR: Cloud(
        Target.EMULATOR,
        google,
        lambda settings: settings.emulator_dir,
        "europe-west4",
        {
            "rules": [
                {
                    "resource": "customJobs",
                    "outcome": "fail",
                    "code": "RESOURCE_EXHAUSTED",
                    "message": "The following quota metrics exceed quota limits: custom_model_training_nvidia_l4_gpus",
                }
            ]
        },
        {"rules": []},
        lambda method, path, headers: method == "POST" and path.partition("?")[0].endswith("/customJobs"),
        lambda method, path, headers: method == "GET" and "/customJobs/" in path,
        ("google.cloud.aiplatform_v1", "google.cloud.storage", "httptools"),
    ),
    Target.AWS_LOCAL: Cloud(
        Target.AWS_LOCAL,
        amazon,
        lambda settings: settings.aws_local_dir,
        "eu-west-1",
        {
            "rules": [
                {
                    "outcome": "fail",
                    "reason": "ResourceLimitExceeded: The account-level service limit "
                    "'ml.g4dn.xlarge for training job usage' is 0 Instances",
                }
            ]
        },
        {"rules": []},
        lambda method, path, headers: headers.get("x-amz-target") == "SageMaker.CreateTrainingJob",
        lambda method, path, headers: headers.get("x-amz-target") == "SageMaker.DescribeTrainingJob",
        ("boto3", "moto", "flask", "flask_cors"),
    ),
}


@contextmanager
def server_environment(*, tiny: bool = True) -> Iterator[None]:
    """What a server (and each of its jobs) inherits inside: the sources under test and, when `tiny`, the image in which
    nothing is trained."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = python_path(tiny=tiny)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def python_path(*, tiny: bool = True) -> str:
    """PYTHONPATH of a server, or of a program that starts one."""
    return os.pathsep.join([str(SOURCE), *([str(TINY_IMAGE)] if tiny else [])])


def start(cloud: Cloud, settings: Settings, *, tiny: bool = True) -> str:
    """The URL of the cloud's server in a working folder, started when it is not there."""
    options = {**TINY_PROGRAMS, "max_running_jobs": 6, "idle_exit_seconds": 3600.0, "deadline_seconds": 240.0}
    with server_environment(tiny=tiny):
        return str(cloud.process.ensure_running(cloud.state(settings), **options))


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
