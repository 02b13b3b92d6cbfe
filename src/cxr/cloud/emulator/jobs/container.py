"""A custom job's containers, without containers.

Each replica's command runs with this Python, behind shims that keep what the service gives a container: python3, pip,
/gcs paths and the service's environment variables. A Python package is installed first and its module is run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cxr.cloud.emulator.errors import invalid_argument, not_found
from cxr.cloud.emulator.jobs.attempts import Launch, ReplicaLaunch
from cxr.cloud.emulator.jobs.cluster import Cluster, free_addresses
from cxr.cloud.emulator.jobs.shims import program_environment, write_shims
from cxr.cloud.emulator.project_numbers import project_number
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.internal import object_at, objects_below, read_object

_GCS_PATH = re.compile(r"/gcs/([a-z0-9][a-z0-9._-]*[a-z0-9])(/[^\s'\"`$|&;<>()\[\]]*)?")
#: Where hypertune of a trial's replica writes, in its folder; CLOUD_ML_HP_METRIC_FILE names it.
METRIC_FILE = Path("hypertune", "output.metrics")


@dataclass(frozen=True, slots=True)
class ReplicaJob:
    """What one replica runs: a command, or a module of Python packages (gs:// paths); `pool` and `index` say which."""

    pool: int
    index: int
    command: Sequence[str]
    environment: Mapping[str, str]
    packages: Sequence[str] = ()
    module: str = ""

    @property
    def task(self) -> str:
        """Its name in logs and errors."""
        return f"workerpool{self.pool}-{self.index}"


@dataclass(frozen=True, slots=True)
class ContainerJob:
    """What a custom job asks for; `replicas` begins with the primary one. `spec` is its CustomJobSpec."""

    job_id: str
    project: str
    replicas: Sequence[ReplicaJob]
    spec: Mapping[str, Any]
    environment: Mapping[str, str]
    output_prefix: str | None
    timeout_seconds: float | None
    server_url: str
    trial: str | None = None


def container_launch(storage: StorageContext, job: ContainerJob, folder: Path) -> Launch:
    """Lay out one attempt in `folder` (for each replica shims, site and work folder; /gcs files) and say what to run.

    Raises 400 when a command is empty, 404 when a package is not there.
    """
    counts = [0] * (max(replica.pool for replica in job.replicas) + 1)
    for replica in job.replicas:
        counts[replica.pool] += 1
    cluster = Cluster(free_addresses(counts), job.spec, job.job_id, job.trial)
    primary, *others = [
        # The primary replica has the attempt's folder to itself, the others each one below it.
        _replica_launch(storage, job, replica, cluster, folder / replica.task if number else folder, folder / "gcs")
        for number, replica in enumerate(job.replicas)
    ]
    return Launch(primary.argv, primary.cwd, primary.environment, job.timeout_seconds, task=primary.task, others=others)


def _replica_launch(
    storage: StorageContext, job: ContainerJob, replica: ReplicaJob, cluster: Cluster, folder: Path, mount: Path
) -> ReplicaLaunch:
    site, shims, work = folder / "site", folder / "bin", folder / "work"
    for new in (site, shims, work, (folder / METRIC_FILE).parent):
        new.mkdir(parents=True, exist_ok=True)
    write_shims(shims, site)
    command = [_materialised(storage, part, mount) for part in replica.command]
    if replica.module:
        command = _module_command(_packages(storage, replica.packages, folder / "packages"), replica.module, command)
    elif not command:
        raise invalid_argument("The emulator cannot know an image's entry point: set container_spec.command.")
    environment = _environment(job, shims, work) | cluster.environment(replica.pool, replica.index)
    if job.trial is not None:
        metric_file = (folder / METRIC_FILE).resolve()
        environment |= {"CLOUD_ML_TRIAL_ID": job.trial, "CLOUD_ML_HP_METRIC_FILE": str(metric_file)}
    return ReplicaLaunch(replica.task, command, str(work), {**environment, **replica.environment, **job.environment})


def _packages(storage: StorageContext, uris: Sequence[str], folder: Path) -> list[str]:
    paths: list[str] = []
    for number, uri in enumerate(uris):
        row = object_at(storage, uri)
        if row is None:
            raise not_found(f"The Python package {uri} does not exist.")
        path = folder / str(number) / PurePosixPath(row["name"]).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(read_object(storage, row))
        paths.append(str(path.resolve()))
    return paths


def _module_command(packages: Sequence[str], module: str, arguments: Sequence[str]) -> list[str]:
    install = " ".join(shlex.quote(path) for path in packages)
    script = f'pip3 install --no-deps {install} && exec python3 -m {shlex.quote(module)} "$@"'
    return ["sh", "-c", script, module, *arguments]


def _materialised(storage: StorageContext, text: str, root: Path) -> str:
    """The text with each /gcs/BUCKET/OBJECT replaced by a read-only copy's path; also of all objects below a folder."""

    def copied(found: re.Match[str]) -> str:
        bucket, name = found.group(1), (found.group(2) or "").lstrip("/")
        rows = objects_below(storage, bucket, name)
        # Of an object and a folder with one name, the folder is seen, as Cloud Storage FUSE has it.
        folders = {str(parent) for row in rows for parent in PurePosixPath(row["name"]).parents}
        for row in rows:
            inside = row["name"] == name or not name or name.endswith("/") or row["name"].startswith(name + "/")
            parts = PurePosixPath(row["name"]).parts
            if not inside or ".." in parts or row["name"].startswith("/") or row["name"].endswith("/"):
                continue
            if str(PurePosixPath(row["name"])) in folders:
                continue
            target = root / bucket / row["name"]
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.write_bytes(read_object(storage, row))
                target.chmod(0o444)
        return f"{root.resolve()}/{bucket}{found.group(2) or ''}"

    return _GCS_PATH.sub(copied, text)


def _environment(job: ContainerJob, shims: Path, work: Path) -> dict[str, str]:
    environment = {
        **program_environment(shims, work),
        "CLOUD_ML_PROJECT_ID": project_number(job.project),
        "CLOUD_ML_JOB_ID": job.job_id,
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
    return environment
