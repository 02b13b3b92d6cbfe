"""What the entry point of Amazon's own images does with a script, for jobs that bring no command of their own (those of
a tuning cannot: HyperParameterAlgorithmSpecification has none).

The hyperparameters sagemaker_program and sagemaker_submit_directory (a .tar.gz in S3) name the script; it gets the
other hyperparameters as --NAME VALUE, and the SM_* variables. Source: the sagemaker-training toolkit's README,
"ENVIRONMENT_VARIABLES" and "How a script is executed inside the container" (5.1).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cxr.archives import unpack_tar
from cxr.cloud.aws.local.jobs.objects import read_object, split_uri
from cxr.cloud.aws.local.jobs.tree import HostTree
from cxr.cloud.aws.local.jobs.work import JobFailedError
from cxr.errors import InputError

PROGRAM, SUBMIT_DIRECTORY = "sagemaker_program", "sagemaker_submit_directory"
_OWN_PREFIXES = ("sagemaker_", "_")


def script_command(client: Any, tree: HostTree, hyperparameters: Mapping[str, str]) -> list[str]:
    """Unpack the script into its host's work folder and give the command that runs it. Raises JobFailedError when there
    is none: images cannot be pulled here."""
    program = _value(hyperparameters.get(PROGRAM, ""))
    archive = _value(hyperparameters.get(SUBMIT_DIRECTORY, ""))
    if not program or not archive:
        raise JobFailedError(
            "ClientError: images cannot be pulled here, so their entry points are unknown: set "
            f"AlgorithmSpecification.ContainerEntrypoint, or the hyperparameters {PROGRAM} and {SUBMIT_DIRECTORY}"
        )
    try:
        unpack_tar(io.BytesIO(read_object(client, *split_uri(str(archive)))), tree.work, name=str(archive))
    except InputError as error:
        raise JobFailedError(f"AlgorithmError: {archive} is not a .tar.gz: {error.message}") from error
    run = f"sh ./{program}" if str(program).endswith(".sh") else f"python3 {program}"
    script = f'if [ -f requirements.txt ]; then pip3 install -r requirements.txt; fi && exec {run} "$@"'
    return ["sh", "-c", script, str(program), *_arguments(hyperparameters)]


def toolkit_environment(tree: HostTree, hosts: Sequence[str], hyperparameters: Mapping[str, str]) -> dict[str, str]:
    """The SM_* variables of one host."""
    own = _own(hyperparameters)
    data = tree.base.resolve() / "input" / "data"
    channels = sorted(path.name for path in data.iterdir() if path.is_dir())
    config = json.loads((tree.base / "input" / "config" / "resourceconfig.json").read_text(encoding="utf-8"))
    return {
        "SM_MODEL_DIR": str(tree.model.resolve()),
        "SM_OUTPUT_DATA_DIR": str(tree.output_data.resolve()),
        "SM_OUTPUT_DIR": str(tree.output_data.parent.resolve()),
        "SM_INPUT_DIR": str(data.parent),
        "SM_INPUT_CONFIG_DIR": str(data.parent / "config"),
        "SM_CHANNELS": json.dumps(channels),
        **{f"SM_CHANNEL_{name.upper()}": str(data / name) for name in channels},
        "SM_HPS": json.dumps(own),
        **{f"SM_HP_{name.upper()}": _text(value) for name, value in own.items()},
        "SM_HOSTS": json.dumps(list(hosts)),
        "SM_CURRENT_HOST": tree.host,
        "SM_RESOURCE_CONFIG": json.dumps(config),
        "SM_NUM_GPUS": "0",
        "SM_USER_ARGS": json.dumps(_arguments(hyperparameters)),
    }


def _own(hyperparameters: Mapping[str, str]) -> dict[str, Any]:
    return {name: _value(text) for name, text in hyperparameters.items() if not name.startswith(_OWN_PREFIXES)}


def _arguments(hyperparameters: Mapping[str, str]) -> list[str]:
    return [part for name, value in sorted(_own(hyperparameters).items()) for part in (f"--{name}", _text(value))]


def _value(text: str) -> Any:
    # Amazon's SDK writes JSON into hyperparameters; a plain text is itself.
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
