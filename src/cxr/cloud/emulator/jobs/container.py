"""A custom job's container, without a container.

The command runs with this Python, behind shims that keep what the service gives a container: python3, pip, /gcs paths
and the service's environment variables.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cxr.cloud.emulator.errors import invalid_argument
from cxr.cloud.emulator.jobs.attempts import Launch
from cxr.cloud.emulator.project_numbers import project_number
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.internal import objects_below, read_object

#: Of the server's own environment, what a job inherits.
INHERITED = ("LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "SSL_CERT_FILE")
INHERITED_PREFIXES = ("TF_", "OMP_", "XLA_", "KERAS_", "CUDA_", "NVIDIA_")
PYTHON_NAMES = ("python3", "python")
PIP_NAMES = ("pip3", "pip")
_GCS_PATH = re.compile(r"/gcs/([a-z0-9][a-z0-9._-]*[a-z0-9])(/[^\s'\"`$|&;<>()\[\]]*)?")


@dataclass(frozen=True, slots=True)
class ContainerJob:
    """What a worker pool asks for."""

    job_id: str
    project: str
    command: Sequence[str]
    environment: Mapping[str, str]
    output_prefix: str | None
    timeout_seconds: float | None
    server_url: str


def container_launch(storage: StorageContext, job: ContainerJob, folder: Path) -> Launch:
    """Lay out one attempt in `folder` (shims, site folder, /gcs files, work folder) and say what to run.

    Raises 400 when the command is empty.
    """
    if not job.command:
        raise invalid_argument("The emulator cannot know an image's entry point: set container_spec.command.")
    site, shims, work = folder / "site", folder / "bin", folder / "work"
    for new in (site, shims, work):
        new.mkdir(parents=True, exist_ok=True)
    _write_shims(shims, site)
    command = [_materialised(storage, part, folder / "gcs") for part in job.command]
    return Launch(command, str(work), _environment(job, shims, work), job.timeout_seconds)


def _write_shims(shims: Path, site: Path) -> None:
    python, quoted_site = shlex.quote(sys.executable), shlex.quote(str(site.resolve()))
    pip = f"exec {python} -m cxr.cloud.emulator.jobs.pip_shim {quoted_site}"
    # The job's own packages go first, so that the trainer comes from the wheel in the bucket.
    run = f'PYTHONPATH={quoted_site}"${{PYTHONPATH:+:$PYTHONPATH}}"\nexport PYTHONPATH\nexec {python} "$@"'
    for name in PYTHON_NAMES:
        _script(shims / name, f'if [ "$1" = -m ] && [ "$2" = pip ]; then\n  shift 2\n  {pip} "$@"\nfi\n{run}\n')
    for name in PIP_NAMES:
        _script(shims / name, f'{pip} "$@"\n')


def _script(path: Path, text: str) -> None:
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _materialised(storage: StorageContext, text: str, root: Path) -> str:
    """The text with each /gcs/BUCKET/OBJECT replaced by a read-only copy's path; also of all objects below a folder."""

    def copied(found: re.Match[str]) -> str:
        bucket, name = found.group(1), (found.group(2) or "").lstrip("/")
        for row in objects_below(storage, bucket, name):
            inside = row["name"] == name or not name or name.endswith("/") or row["name"].startswith(name + "/")
            parts = PurePosixPath(row["name"]).parts
            if not inside or ".." in parts or row["name"].startswith("/") or row["name"].endswith("/"):
                continue
            target = root / bucket / row["name"]
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.write_bytes(read_object(storage, row))
                target.chmod(0o444)
        return f"{root.resolve()}/{bucket}{found.group(2) or ''}"

    return _GCS_PATH.sub(copied, text)


def _environment(job: ContainerJob, shims: Path, work: Path) -> dict[str, str]:
    inherited = {
        key: value for key, value in os.environ.items() if key in INHERITED or key.startswith(INHERITED_PREFIXES)
    }
    environment = {
        **inherited,
        "PATH": f"{shims.resolve()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(work.resolve()),
        "PYTHONUNBUFFERED": "1",
        "CLOUD_ML_PROJECT_ID": project_number(job.project),
        "CLOUD_ML_JOB_ID": job.job_id,
        "CLUSTER_SPEC": json.dumps(
            {
                "cluster": {"workerpool0": ["127.0.0.1:2222"]},
                "environment": "cloud",
                "task": {"type": "workerpool0", "index": 0},
            }
        ),
        "STORAGE_EMULATOR_HOST": job.server_url,
        "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA": "true",
        "GOOGLE_CLOUD_PROJECT": job.project,
    }
    if job.output_prefix:
        prefix = job.output_prefix.rstrip("/")
        environment |= {
            "AIP_MODEL_DIR": f"{prefix}/model/",
            "AIP_CHECKPOINT_DIR": f"{prefix}/checkpoints/",
            "AIP_TENSORBOARD_LOG_DIR": f"{prefix}/logs/",
        }
    return {**environment, **job.environment}
