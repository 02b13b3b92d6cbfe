"""Projects and buckets of their own on one emulator: where `cxr cloud clean` is tested."""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from job_site import STAND_IN, JobSite, Said, wait_until

from cxr.cloud.connection import connect
from cxr.cloud.emulator.process import ensure_running, stop
from cxr.cloud.plans.launch import place_label
from cxr.cloud.vertex.clients import dataset_client, endpoint_client, job_client, model_client, pipeline_client
from cxr.settings import Settings
from cxr.storage.buckets import create_private_bucket

HASH = "0123456789abcdef" * 4
IMPORT = "import-0000000000"


@dataclass(frozen=True)
class Place(JobSite):
    """A project and bucket of its own on the shared emulator."""

    def clean(self, *args: str) -> Said:
        where = ["--project", self.connection.project, "--bucket", self.connection.bucket]
        return self.cxr("clean", *args, *where, "--prefix", self.connection.prefix)

    def at(self, prefix: str) -> Place:
        """The same project and bucket, another prefix."""
        return Place(self.folder, replace(self.connection, prefix=prefix))

    def attach(self, resource: str) -> str:
        """Take a job into the journal; its name there."""
        said = self.cxr("attach", resource, "--project", self.connection.project, "--json")
        return str(said.data["jobs"][0]["id"])

    def stuck(self, collection: str) -> None:
        """Jobs of a collection stay at work from now on."""
        self.emulator("outcomes", {"rules": [{"resource": collection, "outcome": "stuck"}]})

    def labels(self, run: str, manifest: str = HASH) -> dict[str, str]:
        return {"cxr-run": run, "cxr-manifest": manifest[:32], "cxr-place": place_label(self.connection)}

    def left(self) -> dict[str, int]:
        """How many resources there are of each sort, labelled or not."""
        parent = self.connection.parent
        return {
            "datasets": len(list(dataset_client(self.connection).list_datasets(parent=parent))),
            "pipelines": len(list(pipeline_client(self.connection).list_training_pipelines(parent=parent))),
            "jobs": len(list(job_client(self.connection).list_custom_jobs(parent=parent))),
            "models": len(list(model_client(self.connection).list_models(parent=parent))),
            "endpoints": len(list(endpoint_client(self.connection).list_endpoints(parent=parent))),
        }

    def endpoint(self, model: str, *, labels: dict[str, str] | None = None, models: int = 1) -> str:
        client = endpoint_client(self.connection)
        described = {"display_name": "e", "labels": labels or {}}
        name = str(client.create_endpoint(parent=self.connection.parent, endpoint=described).result(300).name)
        for _ in range(models):
            nodes = {"min_replica_count": 1, "max_replica_count": 1}
            deployed = {"model": model, "display_name": "d", "automatic_resources": nodes}
            client.deploy_model(endpoint=name, deployed_model=deployed, traffic_split={"0": 100}).result(300)
        return name

    def wait(self, resource: str) -> None:
        client = job_client(self.connection)
        wait_until(lambda: client.get_custom_job(name=resource).state.name == "JOB_STATE_SUCCEEDED")


@contextmanager
def cleaning_emulator(folder: Path) -> Iterator[Settings]:
    """The emulator of a folder, stopped at the end."""
    settings = Settings(state_dir=folder / ".cxr")
    ensure_running(settings.emulator_dir, idle_exit_seconds=300, max_running_jobs=8, stand_in=STAND_IN)
    try:
        yield settings
    finally:
        stop(settings.emulator_dir)


@contextmanager
def being_launched(place: Place, run: str) -> Iterator[None]:
    """Another process of this folder is launching the run: it has its lock."""
    folder = place.state_dir / "locks"
    folder.mkdir(exist_ok=True)
    with (folder / run).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def new_place(settings: Settings) -> Iterator[Place]:
    """A project and an empty bucket; faults and outcomes are cleared at the end."""
    name = f"p-{uuid.uuid4().hex[:10]}"
    connection = connect(replace(settings, project=name, bucket=name))
    create_private_bucket(name, region=connection.region, endpoint=connection.endpoint, project=name)
    place = Place(settings.state_dir.parent, connection)
    yield place
    place.emulator("faults")
    place.emulator("outcomes")
