"""CustomJobSpec: what the service accepts, and the replicas that it means.

Sources: google.cloud.aiplatform.v1 CustomJobSpec, WorkerPoolSpec, ContainerSpec, PythonPackageSpec, Scheduling;
https://cloud.google.com/vertex-ai/docs/training/distributed-training (the four pools); the SDK's worker_spec_utils
(disk sizes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cxr.cloud.emulator.errors import failed_precondition, invalid_argument, not_found, unimplemented
from cxr.cloud.emulator.jobs.container import ReplicaJob
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.internal import split_uri
from cxr.cloud.emulator.vertex_api.call import require
from cxr.cloud.emulator.vertex_api.machines import check_machine

MAX_POOLS = 4
MAX_ENVIRONMENT = 100
MAX_PACKAGES = 100
#: Replicas of one job. No limit is documented; more processes would do this machine harm.
MAX_REPLICAS = 100
#: A year. The service's own limit may be shorter.
MAX_TIMEOUT_SECONDS = 366 * 24 * 3600.0
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PACKAGE = re.compile(r"gs://[^/]+/.+\.(?:whl|tar\.gz|zip)")
MIN_DISK_GB, MAX_DISK_GB = 100, 64_000
DEFAULT_TIMEOUT_SECONDS = 7 * 24 * 3600.0
#: What would need another service than this one.
_NOT_HERE = ("persistentResourceId", "tensorboard", "enableWebAccess", "enableDashboardAccess", "experiment", "models")


def check_job_spec(storage: StorageContext, spec: Mapping[str, Any], region: str, field: str = "job_spec") -> None:
    """Raise 400 for a specification that the service refuses, 501 for what the emulator does not have."""
    pools = require(spec, "workerPoolSpecs", f"{field}.worker_pool_specs")
    if len(pools) > MAX_POOLS:
        raise invalid_argument(
            f"There are {len(pools)} worker pools; at most {MAX_POOLS} are allowed.", field=f"{field}.worker_pool_specs"
        )
    for key in _NOT_HERE:
        if spec.get(key):
            raise unimplemented(f"custom jobs with {key}")
    if int(pools[0].get("replicaCount", 0)) != 1:
        raise invalid_argument("The first worker pool needs a replica_count of 1.", field="worker_pool_specs[0]")
    replicas = sum(int(pool.get("replicaCount", 0)) for pool in pools)
    if replicas > MAX_REPLICAS:
        raise invalid_argument(
            f"There are {replicas:,} replicas; at most {MAX_REPLICAS} are allowed here.",
            field=f"{field}.worker_pool_specs",
        )
    if any("\0" in text for text in _texts(spec)):
        raise invalid_argument("A text holds a NUL character.", field=field)
    for number, pool in enumerate(pools):
        if pool:
            _check_pool(pool, f"worker_pool_specs[{number}]")
    _check_scheduling(spec.get("scheduling", {}), f"{field}.scheduling")
    prefix = spec.get("baseOutputDirectory", {}).get("outputUriPrefix", "")
    if prefix:
        check_output(storage, prefix, region, "base_output_directory.output_uri_prefix")


def check_output(storage: StorageContext, prefix: str, region: str, field: str) -> None:
    """Raise 400 unless the bucket of a gs:// prefix is in the region, 404 when there is no such bucket.

    The words are those that users of the service report.
    """
    try:
        bucket, _ = split_uri(prefix)
    except ValueError:
        raise invalid_argument(f"{prefix!r} is not a gs:// path.", field=field) from None
    row = storage.database.read.execute("SELECT location FROM buckets WHERE name=?", (bucket,)).fetchone()
    if row is None:
        raise not_found(f"The Cloud Storage bucket of `{prefix}` does not exist.")
    location = str(row["location"]).lower()
    if location != region:
        raise failed_precondition(
            f"The Cloud Storage bucket of `{prefix}` is in location `{location}`. It must be in the same regional "
            f"location as the service location `{region}`."
        )


def replicas_of(spec: Mapping[str, Any]) -> list[ReplicaJob]:
    """Every replica of a checked specification, the primary one first."""
    replicas: list[ReplicaJob] = []
    for number, pool in enumerate(spec["workerPoolSpecs"]):
        for index in range(int(pool.get("replicaCount", 0))):
            replicas.append(_replica(pool, number, index))
    return replicas


def timeout_seconds(spec: Mapping[str, Any]) -> float:
    """How long the job may run; seven days when it does not say."""
    return _seconds(spec.get("scheduling", {}).get("timeout")) or DEFAULT_TIMEOUT_SECONDS


def with_arguments(spec: Mapping[str, Any], arguments: Sequence[str]) -> dict[str, Any]:
    """The specification with more arguments for every replica."""
    pools = []
    for pool in spec["workerPoolSpecs"]:
        changed = dict(pool)
        for task in ("containerSpec", "pythonPackageSpec"):
            if task in pool:
                changed[task] = {**pool[task], "args": [*pool[task].get("args", []), *arguments]}
        pools.append(changed)
    return {**spec, "workerPoolSpecs": pools}


def _replica(pool: Mapping[str, Any], number: int, index: int) -> ReplicaJob:
    package = pool.get("pythonPackageSpec")
    task = package or pool["containerSpec"]
    environment = {item["name"]: item.get("value", "") for item in task.get("env", [])}
    arguments = list(task.get("args", []))
    if package:
        return ReplicaJob(
            number, index, arguments, environment, tuple(package["packageUris"]), str(package["pythonModule"])
        )
    return ReplicaJob(number, index, [*task.get("command", []), *arguments], environment)


def _check_pool(pool: Mapping[str, Any], field: str) -> None:
    if int(pool.get("replicaCount", 0)) < 1:
        raise invalid_argument("A worker pool that is set needs a replica_count of at least 1.", field=field)
    check_machine(require(pool, "machineSpec", f"{field}.machine_spec"))
    _check_disk(pool.get("diskSpec", {}), field)
    for key in ("nfsMounts", "lustreMounts"):
        if pool.get(key):
            raise unimplemented(f"worker pools with {key}")
    if "pythonPackageSpec" in pool:
        package = require(pool, "pythonPackageSpec", f"{field}.python_package_spec")
        require(package, "executorImageUri", "python_package_spec.executor_image_uri")
        require(package, "pythonModule", "python_package_spec.python_module")
        uris = require(package, "packageUris", "python_package_spec.package_uris")
        if len(uris) > MAX_PACKAGES:
            raise invalid_argument(f"At most {MAX_PACKAGES} package URIs are allowed.", field=field)
        for uri in uris:
            if not _PACKAGE.fullmatch(uri) or ".." in uri.split("/"):
                raise invalid_argument(
                    f"{uri!r} is not the gs:// path of a package (.whl, .tar.gz or .zip).",
                    field="python_package_spec.package_uris",
                )
        task = package
    else:
        task = require(pool, "containerSpec", f"{field}.container_spec")
        require(task, "imageUri", "container_spec.image_uri")
    _check_environment(task.get("env", []), field)


def _check_environment(variables: Sequence[Mapping[str, Any]], field: str) -> None:
    if len(variables) > MAX_ENVIRONMENT:
        raise invalid_argument(f"At most {MAX_ENVIRONMENT} environment variables are allowed.", field=f"{field}.env")
    names = [item.get("name", "") for item in variables]
    if not all(names):
        raise invalid_argument("An environment variable needs a name.", field=f"{field}.env")
    bad = next((name for name in names if not _ENVIRONMENT_NAME.fullmatch(name)), None)
    if bad is not None:
        raise invalid_argument(f"The environment variable's name {bad!r} is not a C identifier.", field=f"{field}.env")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise invalid_argument(f"The environment variable {repeated[0]!r} is set twice.", field=f"{field}.env")


def _check_disk(disk: Mapping[str, Any], field: str) -> None:
    size = int(disk.get("bootDiskSizeGb", MIN_DISK_GB))
    if size and not MIN_DISK_GB <= size <= MAX_DISK_GB:
        raise invalid_argument(
            f"The boot disk's size of {size} GB is outside of {MIN_DISK_GB} to {MAX_DISK_GB}.",
            field=f"{field}.disk_spec.boot_disk_size_gb",
        )


def _check_scheduling(scheduling: Mapping[str, Any], field: str) -> None:
    for key, name in (("timeout", "timeout"), ("maxWaitDuration", "max_wait_duration")):
        if key in scheduling and _seconds(scheduling[key]) < 0:
            raise invalid_argument(f"{name} must not be negative.", field=f"{field}.{name}")
        if key in scheduling and _seconds(scheduling[key]) > MAX_TIMEOUT_SECONDS:
            raise invalid_argument(f"{name} is longer than a year.", field=f"{field}.{name}")


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from (key, *_texts(item))
    elif isinstance(value, Sequence):
        for item in value:
            yield from _texts(item)


def _seconds(duration: str | None) -> float:
    return float(duration.removesuffix("s")) if duration else 0.0
