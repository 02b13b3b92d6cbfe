"""The folders and files that a training job's container finds below /opt/ml, for one host.

Source: developer guide, "How Amazon SageMaker AI provides training information" and "Amazon SageMaker AI training
storage folders".
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.cloud.aws.local.jobs.objects import InputObject, download, input_objects
from cxr.cloud.aws.local.jobs.work import JobFailedError
from cxr.cloud.emulator.jobs.shims import write_shims

_OPT_ML = re.compile(r"(?<![\w./-])/opt/ml(?![\w.-])")
#: The name that the service gives to the instances of a job that names no groups.
GROUP = "homogeneousCluster"


@dataclass(frozen=True, slots=True)
class HostTree:
    """One host's root folder: what is below `opt/ml` in it is the container's /opt/ml."""

    root: Path
    host: str

    @property
    def base(self) -> Path:
        """Its /opt/ml."""
        return self.root / "opt" / "ml"

    @property
    def model(self) -> Path:
        """What becomes model.tar.gz."""
        return self.base / "model"

    @property
    def output_data(self) -> Path:
        """What becomes output.tar.gz."""
        return self.base / "output" / "data"

    @property
    def failure(self) -> Path:
        """Where the program says why it failed."""
        return self.base / "output" / "failure"

    @property
    def checkpoints(self) -> Path:
        """What survives an interruption."""
        return self.base / "checkpoints"

    @property
    def work(self) -> Path:
        """The program's working folder and home."""
        return self.root / "work"

    @property
    def shims(self) -> Path:
        """python3 and pip."""
        return self.root / "bin"

    def lay_out(self) -> None:
        """Make all folders anew."""
        shutil.rmtree(self.root, ignore_errors=True)
        config = self.base / "input" / "config"
        for folder in (config, self.base / "input" / "data", self.model, self.output_data, self.checkpoints):
            folder.mkdir(parents=True)
        site = self.root / "site"
        for folder in (site, self.work, self.shims):
            folder.mkdir()
        write_shims(self.shims, site)

    def write_config(self, name: str, document: Mapping[str, Any]) -> None:
        """A file below input/config."""
        text = json.dumps(document, indent=1)
        (self.base / "input" / "config" / name).write_text(text, encoding="utf-8")

    def placed(self, text: str) -> str:
        """A text in which /opt/ml is this host's."""
        return _OPT_ML.sub(lambda _: str(self.base.resolve()), text)


def resource_config(hosts: Sequence[str], host: str, instance_type: str) -> dict[str, Any]:
    """resourceconfig.json of one host."""
    group = {"instance_group_name": GROUP, "instance_type": instance_type, "hosts": list(hosts)}
    return {
        "current_host": host,
        "current_instance_type": instance_type,
        "current_group_name": GROUP,
        "hosts": list(hosts),
        "instance_groups": [group],
        "network_interface_name": "lo",
    }


def input_data_config(channels: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """inputdataconfig.json."""
    return {
        channel["ChannelName"]: {
            **({"ContentType": channel["ContentType"]} if channel.get("ContentType") else {}),
            "TrainingInputMode": "File",
            "S3DistributionType": channel["DataSource"]
            .get("S3DataSource", {})
            .get("S3DataDistributionType", "FullyReplicated"),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        for channel in channels
    }


def fill_channels(client: Any, channels: Sequence[Mapping[str, Any]], trees: Sequence[HostTree]) -> None:
    """Download every channel to every host. FastFile is a File here. Raises JobFailedError for what cannot be."""
    for channel in channels:
        name, source = channel["ChannelName"], channel["DataSource"].get("S3DataSource")
        if source is None:
            raise JobFailedError(f"ClientError: the channel {name} is not in S3; nothing else is supported here")
        if channel.get("InputMode") == "Pipe":
            raise JobFailedError(
                f"ClientError: the channel {name} wants the input mode Pipe, which is not supported here"
            )
        objects = input_objects(client, source["S3DataType"], source["S3Uri"])
        is_sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
        for number, tree in enumerate(trees):
            mine: Sequence[InputObject] = objects[number :: len(trees)] if is_sharded else objects
            folder = tree.base / "input" / "data" / name
            folder.mkdir(parents=True, exist_ok=True)
            download(client, mine, folder)
