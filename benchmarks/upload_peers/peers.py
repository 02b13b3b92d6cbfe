"""Who uploads: how each client is found, called, and what its second run is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from upload_peers import install
from upload_peers.files import Files
from upload_peers.servers import BUCKET, PROJECT

OURS, OURS_S3 = "cxr", "cxr (S3)"
MANY, MANY_64 = "upload_many", "upload_many, 64 threads"
GCSFS, GCLOUD, GSUTIL = "gcsfs", "gcloud storage", "gsutil -m"
RCLONE, RCLONE_64 = "rclone", "rclone, 64 transfers"


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a client. `module` with `job` for a Python client, `argv` (its stdin: the files' paths) for others."""

    argv: list[str]
    module: str = ""
    job: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Peer:
    """A client: `call(program, url of the server, files, again)`; `program()` finds or installs it."""

    name: str
    program: Callable[[], str]
    version: Callable[[str], str]
    call: Callable[[str, str, Files, bool], Call]
    #: Whether it can leave out what is there already.
    repeats: bool = True


def _this_python() -> str:
    return sys.executable


def _own_version(package: str) -> Callable[[str], str]:
    return lambda program: install.package_version(program, package)


def _first_line(*arguments: str) -> Callable[[str], str]:
    return lambda program: install.first_line([program, *arguments])


def _python_client(module: str, **options: Any) -> Callable[[str, str, Files, bool], Call]:
    def call(program: str, url: str, files: Files, again: bool) -> Call:
        job = {
            "endpoint": url,
            "project": PROJECT,
            "bucket": BUCKET,
            "url": f"gs://{BUCKET}/prefix",
            "folder": str(files.folder),
            "list": str(files.list),
            "again": again,
            **options,
        }
        # gcsfs would ask for the kind of bucket over gRPC first, which a local server does not speak.
        environment = {"AWS_ENDPOINT_URL": url, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
        return Call([program], f"upload_peers.{module}", job, environment)

    return call


def _rclone(*options: str) -> Callable[[str, str, Files, bool], Call]:
    def call(program: str, url: str, files: Files, again: bool) -> Call:
        del again
        where = ["--gcs-endpoint", f"{url}/storage/v1/", "--gcs-anonymous", "--config", ""]
        return Call([program, "copy", *where, *options, str(files.folder), f":gcs:{BUCKET}/prefix/images"])

    return call


def _gcloud(program: str, url: str, files: Files, again: bool) -> Call:
    del files
    environment = {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{url}/storage/v1/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
    }
    again_only = ["--no-clobber"] if again else []
    # The paths come on its standard input: for a folder it asks for the bucket's layout first.
    return Call(
        [program, "storage", "cp", *again_only, "--read-paths-from-stdin", f"gs://{BUCKET}/prefix/images/"],
        environment=environment,
    )


def _s5cmd(program: str, url: str, files: Files, again: bool) -> Call:
    del again
    target = f"s3://{BUCKET}/prefix/images/"
    return Call([program, "--endpoint-url", url, "cp", f"{files.folder}/", target])


def _gsutil(program: str, url: str, files: Files, again: bool) -> Call:
    raise install.Absent(program)


def google_peers() -> list[Peer]:
    """Clients of Cloud Storage, this project's first."""
    sdk = _own_version("google-cloud-storage")
    return [
        Peer(OURS, _this_python, sdk, _python_client("client_ours")),
        Peer(MANY, _this_python, sdk, _python_client("client_sdk")),
        Peer(MANY_64, _this_python, sdk, _python_client("client_sdk", workers=64)),
        Peer(
            GCSFS,
            lambda: install.peer_python("gcsfs"),
            _own_version("gcsfs"),
            _python_client("client_gcsfs"),
            repeats=False,
        ),
        Peer(RCLONE, install.rclone, _first_line("version"), _rclone()),
        Peer(RCLONE_64, install.rclone, _first_line("version"), _rclone("--transfers", "64")),
        Peer(GCLOUD, install.gcloud, _first_line("--version"), _gcloud),
        Peer(GSUTIL, install.gsutil, _first_line("version"), _gsutil),
    ]


def amazon_peers() -> list[Peer]:
    """Clients of S3, this project's first."""
    boto3, url = _own_version("boto3"), f"s3://{BUCKET}/prefix"
    return [
        Peer(OURS_S3, _this_python, boto3, _python_client("client_ours", url=url)),
        Peer("boto3 TransferManager", _this_python, boto3, _python_client("client_boto3"), repeats=False),
        Peer(
            "boto3 upload_file, 64 threads",
            _this_python,
            boto3,
            _python_client("client_boto3", workers=64),
            repeats=False,
        ),
        Peer("s5cmd", install.s5cmd, _first_line("version"), _s5cmd, repeats=False),
    ]
