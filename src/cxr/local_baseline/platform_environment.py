"""What the place that a trainer runs in says to it: where things go, which parameters, which other machines.

One table row a platform, read in one function, so that the trainer itself knows no service. Sources: Vertex AI, "Code
requirements for custom training" (AIP_*, TF_CONFIG); Amazon SageMaker AI, "How Amazon SageMaker AI provides training
information" (the tree under /opt/ml) and the sagemaker-training toolkit 5.1 (SM_*, SAGEMAKER_BASE_DIR).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cxr.errors import UsageError
from cxr.local_baseline.tensorflow_setup import CLUSTER_VARIABLE


@dataclass(frozen=True, slots=True)
class Platform:
    """How a platform says what: variables' names, and folders below its root where a variable is not set (empty: there
    is no such thing). `known_by` are variables of which one shows that the trainer runs there."""

    name: str
    known_by: tuple[str, ...]
    model: str
    checkpoints: str = ""
    tensorboard: str = ""
    extra_output: str = ""
    root: str = ""
    default_root: str = ""
    model_below: str = ""
    checkpoints_below: str = ""
    extra_output_below: str = ""
    failure_below: str = ""
    channels_below: str = ""
    config_below: str = ""
    #: The model's folder may be a mount, which cannot be renamed over: files are copied into it.
    is_copied: bool = False


VERTEX = Platform(
    name="Vertex AI",
    known_by=("AIP_MODEL_DIR", "AIP_CHECKPOINT_DIR", "AIP_TENSORBOARD_LOG_DIR"),
    model="AIP_MODEL_DIR",
    checkpoints="AIP_CHECKPOINT_DIR",
    tensorboard="AIP_TENSORBOARD_LOG_DIR",
)
SAGEMAKER = Platform(
    name="SageMaker",
    # A container without Amazon's toolkit is told the job's name and finds the rest in files.
    known_by=("SM_MODEL_DIR", "SM_CURRENT_HOST", "SM_HPS", "TRAINING_JOB_NAME"),
    model="SM_MODEL_DIR",
    extra_output="SM_OUTPUT_DATA_DIR",
    root="SAGEMAKER_BASE_DIR",
    default_root="/opt/ml",
    model_below="model",
    checkpoints_below="checkpoints",
    extra_output_below="output/data",
    failure_below="output/failure",
    channels_below="input/data",
    config_below="input/config",
    is_copied=True,
)
#: A machine of one's own says nothing; with one of the variables above it is taken for that platform.
HERE = Platform("this machine", (), model="")
#: The first that is recognised is it.
PLATFORMS = (VERTEX, SAGEMAKER)

CHANNEL_PREFIX = "SM_CHANNEL_"
HYPERPARAMETERS_VARIABLE, HOSTS_VARIABLE, HOST_VARIABLE = "SM_HPS", "SM_HOSTS", "SM_CURRENT_HOST"
RESOURCES_VARIABLE = "SM_RESOURCE_CONFIG"
#: Parameters of Amazon's own, for its toolkit and its tuning.
FOREIGN_PARAMETERS = ("sagemaker_", "_")
#: Where SageMaker's machines listen for TensorFlow (its own containers use the same).
CLUSTER_PORT = 8890
#: The channels in which a manifest is looked for first.
DATA_CHANNELS = ("training", "train")
#: Characters of a failure that the service shows.
MOST_FAILURE_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class JobEnvironment:
    """One job's surroundings, read. Places are URLs or paths, empty when there are none; `channels` are folders of
    input by name; `parameters` hyperparameters as text; `cluster` is TF_CONFIG."""

    platform: Platform
    model: str = ""
    checkpoints: str = ""
    tensorboard: str = ""
    extra_output: str = ""
    failure: Path | None = None
    channels: Mapping[str, Path] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""

    def found(self, name: str) -> str:
        """A file by its name: itself when it is there or a URL, else the first of that name below a channel, else
        `name` unchanged."""
        if "://" in name or Path(name).exists():
            return name
        return next((str(folder / name) for folder in self._searched() if (folder / name).is_file()), name)

    def _searched(self) -> list[Path]:
        first = [self.channels[name] for name in DATA_CHANNELS if name in self.channels]
        return [*first, *(folder for name, folder in sorted(self.channels.items()) if name not in DATA_CHANNELS)]


def bare_environment(environment: Mapping[str, str]) -> JobEnvironment:
    """The platform, and where it is told of a failure: what is known before anything is read that may be broken."""
    platform = next((one for one in PLATFORMS if any(environment.get(name) for name in one.known_by)), HERE)
    below = platform.failure_below
    return JobEnvironment(platform, failure=_root(platform, environment) / below if below else None)


def _root(platform: Platform, environment: Mapping[str, str]) -> Path:
    return Path((environment.get(platform.root) if platform.root else "") or platform.default_root)


def read_environment(environment: Mapping[str, str]) -> JobEnvironment:
    """What `environment` (and on SageMaker the files below its root) says. Raises UsageError for what cannot be
    read."""
    bare = bare_environment(environment)
    platform = bare.platform
    root = _root(platform, environment)
    config = root / platform.config_below if platform.config_below else None

    def place(variable: str, below: str) -> str:
        given = environment.get(variable, "") if variable else ""
        return (given or (str(root / below) if below else "")).rstrip("/")

    return JobEnvironment(
        platform=platform,
        model=place(platform.model, platform.model_below),
        checkpoints=place(platform.checkpoints, platform.checkpoints_below),
        tensorboard=place(platform.tensorboard, ""),
        extra_output=place(platform.extra_output, platform.extra_output_below),
        failure=bare.failure,
        channels=_channels(environment, root / platform.channels_below) if platform.channels_below else {},
        parameters=_parameters(environment, config) if config else {},
        cluster=environment.get(CLUSTER_VARIABLE, "") or (_cluster(environment, config) if config else ""),
    )


def _channels(environment: Mapping[str, str], folder: Path) -> dict[str, Path]:
    named = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()} if folder.is_dir() else {}
    given = {
        name.removeprefix(CHANNEL_PREFIX).lower(): Path(value)
        for name, value in environment.items()
        if name.startswith(CHANNEL_PREFIX) and value
    }
    return named | given


def _parameters(environment: Mapping[str, str], config: Path) -> dict[str, str]:
    """The hyperparameters as text. The service keeps strings; Amazon's SDK writes JSON into them, so that a text comes
    in quotes of its own."""
    raw = _json(
        environment.get(HYPERPARAMETERS_VARIABLE, ""), HYPERPARAMETERS_VARIABLE, config / "hyperparameters.json"
    )
    return {name: _text(value) for name, value in raw.items() if not name.startswith(FOREIGN_PARAMETERS)}


def _text(value: Any) -> str:
    if isinstance(value, str):
        try:
            inner = json.loads(value)
        except ValueError:
            return value
        return inner if isinstance(inner, str) else value
    return json.dumps(value)


def _cluster(environment: Mapping[str, str], config: Path) -> str:
    """TF_CONFIG for SageMaker's hosts, the first by name being the chief; empty for a single one."""
    resources = _json(environment.get(RESOURCES_VARIABLE, ""), RESOURCES_VARIABLE, config / "resourceconfig.json")
    try:
        hosts = sorted(json.loads(environment.get(HOSTS_VARIABLE, "") or json.dumps(resources.get("hosts", []))))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{HOSTS_VARIABLE} cannot be read: {error}") from error
    me = environment.get(HOST_VARIABLE, "") or str(resources.get("current_host", ""))
    if len(hosts) < 2:
        return ""
    if me not in hosts:
        raise UsageError(f"{HOST_VARIABLE} is {me!r}, which is none of the job's hosts: {', '.join(hosts)}")
    places = [f"{host}:{CLUSTER_PORT}" for host in hosts]
    number = hosts.index(me)
    task = {"type": "chief", "index": 0} if number == 0 else {"type": "worker", "index": number - 1}
    return json.dumps({"cluster": {"chief": places[:1], "worker": places[1:]}, "task": task})


def _json(text: str, variable: str, path: Path) -> dict[str, Any]:
    """The object in a variable, else in a file, else an empty one."""
    source = variable
    if not text and path.is_file():
        text, source = path.read_text(encoding="utf-8"), str(path)
    try:
        value = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise UsageError(f"{source} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{source} is not a JSON object")
    return value


def tell_failure(environment: JobEnvironment, message: str) -> None:
    """Write why the job failed where its platform shows it; a place that cannot be written is left alone, for the same
    words are in the log."""
    if environment.failure is None:
        return
    try:
        environment.failure.parent.mkdir(parents=True, exist_ok=True)
        environment.failure.write_text(message[:MOST_FAILURE_CHARACTERS], encoding="utf-8")
    except OSError:
        return
