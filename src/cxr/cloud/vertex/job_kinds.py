"""One table of the kinds of job: which client and resource each has on the service, and how its progress is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.seen import Seen
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.vertex import job_facts
from cxr.cloud.vertex.clients import REQUEST_TIMEOUT_S, dataset_client, job_client, pipeline_client

#: google.rpc.Code of an operation that somebody ended.
_CANCELLED_CODE = 1
_PAGE = 100


class JobService(Protocol):
    """What can be asked of every kind of job. The methods raise what Google's SDK raises."""

    @property
    def collection(self) -> str:
        """The kind's part of a resource name, such as `customJobs`."""

    def get(self, connection: Connection, resource: str) -> Seen:
        """Ask for one job."""

    def list(self, connection: Connection, wanted: str) -> list[Seen]:
        """All jobs of the connection's project and region that match a filter, newest first."""

    def cancel(self, connection: Connection, resource: str) -> None:
        """Ask for the end of a job."""

    def delete(self, connection: Connection, resource: str) -> Any:
        """Delete a job that has ended; the operation that does it."""


@dataclass(frozen=True, slots=True)
class ResourceJobs:
    """Jobs that are resources of their own: `get_NOUN`, `list_NOUNs`, `cancel_NOUN` and `delete_NOUN` of one client."""

    collection: str
    noun: str
    state_prefix: str
    client: Callable[[Connection], Any]
    facts: Callable[[Any], dict[str, Any]]

    def get(self, connection: Connection, resource: str) -> Seen:
        """Ask for one job."""
        ask = getattr(self.client(connection), f"get_{self.noun}")
        return self.seen(ask(name=resource, timeout=REQUEST_TIMEOUT_S))

    def list(self, connection: Connection, wanted: str) -> list[Seen]:
        """All jobs that match a filter."""
        ask = getattr(self.client(connection), f"list_{self.noun}s")
        request = {"parent": connection.parent, "filter": wanted, "page_size": _PAGE}
        return [self.seen(job) for job in ask(request=request, timeout=REQUEST_TIMEOUT_S)]

    def cancel(self, connection: Connection, resource: str) -> None:
        """Ask for the end of a job."""
        getattr(self.client(connection), f"cancel_{self.noun}")(name=resource, timeout=REQUEST_TIMEOUT_S)

    def delete(self, connection: Connection, resource: str) -> Any:
        """Delete a job that has ended."""
        return getattr(self.client(connection), f"delete_{self.noun}")(name=resource, timeout=REQUEST_TIMEOUT_S)

    def seen(self, job: Any) -> Seen:
        """The service's message of one job, read."""
        state = job.state.name.removeprefix(self.state_prefix)
        return Seen(
            resource=str(job.name),
            # A batch prediction of which some items failed has ended, and has a result; the facts tell what is missing.
            state="SUCCEEDED" if state == "PARTIALLY_SUCCEEDED" else state,
            error=_one_line(job.error.message),
            error_code=code_name(job.error.code) if job.error.code else "",
            created=job_facts.moment(job.create_time),
            started=job_facts.moment(job.start_time),
            ended=job_facts.moment(job.end_time),
            display_name=str(job.display_name),
            labels=dict(job.labels),
            **self.facts(job),
        )


@dataclass(frozen=True, slots=True)
class ImportOperations:
    """A dataset's import: a long-running operation, which has no state and no labels of its own."""

    collection: str = "operations"

    def get(self, connection: Connection, resource: str) -> Seen:
        """Ask for one operation. Raises ValueError for the operation of something else."""
        operation = dataset_client(connection).get_operation({"name": resource}, timeout=REQUEST_TIMEOUT_S)
        facts = job_facts.import_facts(operation)
        cancelled = operation.error.code == _CANCELLED_CODE
        state = "RUNNING"
        if operation.done:
            failed = "CANCELLED" if cancelled else "FAILED"
            state = failed if operation.HasField("error") else "SUCCEEDED"
        times = {"started": facts.pop("created"), "updated": facts.pop("updated")}
        return Seen(
            resource=str(operation.name),
            state=state,
            error=_one_line(operation.error.message),
            error_code=code_name(operation.error.code) if operation.error.code else "",
            created=times["started"],
            started=times["started"],
            ended=times["updated"] if operation.done else "",
            **facts,
        )

    def list(self, connection: Connection, wanted: str) -> list[Seen]:
        """None: operations carry no labels to be found by."""
        del connection, wanted
        return []

    def cancel(self, connection: Connection, resource: str) -> None:
        """Ask for the end of an operation; what has been imported stays."""
        dataset_client(connection).cancel_operation({"name": resource}, timeout=REQUEST_TIMEOUT_S)

    def delete(self, connection: Connection, resource: str) -> Any:
        """Forget a finished operation."""
        return dataset_client(connection).delete_operation({"name": resource}, timeout=REQUEST_TIMEOUT_S)


_JOB = "JOB_STATE_"
SERVICES: dict[JobKind, JobService] = {
    JobKind.AUTOML: ResourceJobs(
        "trainingPipelines", "training_pipeline", "PIPELINE_STATE_", pipeline_client, job_facts.automl_facts
    ),
    JobKind.CUSTOM: ResourceJobs("customJobs", "custom_job", _JOB, job_client, job_facts.custom_facts),
    JobKind.TUNE: ResourceJobs(
        "hyperparameterTuningJobs", "hyperparameter_tuning_job", _JOB, job_client, job_facts.tuning_facts
    ),
    JobKind.BATCH: ResourceJobs("batchPredictionJobs", "batch_prediction_job", _JOB, job_client, job_facts.batch_facts),
    JobKind.IMPORT: ImportOperations(),
}
#: Collection of a resource name -> kind. Operations below a dataset are taken for imports, and checked.
KIND_OF = {service.collection: kind for kind, service in SERVICES.items()}


def code_name(code: int) -> str:
    """The name of a google.rpc code, such as RESOURCE_EXHAUSTED."""
    from google.rpc import code_pb2

    try:
        return str(code_pb2.Code.Name(code))
    except ValueError:
        return str(code)


def _one_line(text: str) -> str:
    return " ".join(str(text).split())
