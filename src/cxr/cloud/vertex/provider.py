"""Google, and the emulator that stands for it, as a provider: which function does what.

Every method loads what it needs when it is called: Google's SDKs take seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.seen import LOGS_SINCE, JobName, LogLine, ModelOutput, PredictingModel, RunTime, Seen, Trial
from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.cloud.vertex.provider_place import VertexPlace
from cxr.progress import Say

if TYPE_CHECKING:
    from cxr.cloud.cleaning.found import Hunt
    from cxr.cloud.cleaning.leftovers import Leftover
    from cxr.cloud.jobs.journal import Job
    from cxr.cloud.jobs.launching import Submitted
    from cxr.cloud.predicting.scores import Scores
    from cxr.cloud.preflight.findings import Finding
    from cxr.cloud.preflight.run import Check
    from cxr.cloud.preflight.subject import Subject
    from cxr.cloud.preflight.survey import Survey
    from cxr.cloud.prices.table import PriceTable
    from cxr.errors import CxrError
    from cxr.manifests.manifest import Manifest
    from cxr.storage.transfer.haul import Haul


@dataclass(frozen=True, slots=True)
class Vertex(VertexPlace):
    """See Provider."""

    # Jobs

    def find_launched(self, plan: LaunchPlan) -> Seen | None:
        """See Provider."""
        from cxr.cloud.vertex.found import find_launched

        return find_launched(plan)

    def look(self, connection: Connection, kind: JobKind, resource: str) -> Seen:
        """See Provider."""
        from cxr.cloud.vertex.job_kinds import SERVICES
        from cxr.storage.google.errors import polling_errors

        with polling_errors(f"ask for {resource}"):
            return SERVICES[kind].get(connection, resource)

    def cancel(self, connection: Connection, kind: JobKind, resource: str) -> None:
        """See Provider."""
        from cxr.cloud.vertex.job_kinds import SERVICES
        from cxr.storage.google.errors import google_errors

        with google_errors(f"cancel {resource}"):
            SERVICES[kind].cancel(connection, resource)

    def labelled_jobs(self, connection: Connection, kinds: Iterable[JobKind]) -> Iterator[tuple[JobKind, Seen]]:
        """See Provider."""
        from cxr.cloud.vertex.found import labelled_jobs

        return labelled_jobs(connection, kinds)

    def unfinished_jobs(self, connection: Connection) -> Iterator[tuple[JobKind, Seen]]:
        """See Provider."""
        from cxr.cloud.vertex.found import unfinished_jobs

        return unfinished_jobs(connection)

    def parse_name(self, text: str, kind: str | None) -> JobName:
        """See Provider."""
        from cxr.cloud.vertex.job_names import parse_job_name

        return parse_job_name(text, kind)

    def full_name(self, connection: Connection, name: JobName) -> str:
        """See Provider."""
        from cxr.cloud.vertex.job_kinds import SERVICES

        if name.project:
            return name.resource
        return f"{connection.parent}/{SERVICES[name.kind].collection}/{name.resource}"

    def place_of(self, connection: Connection, seen: Seen) -> Connection:
        """See Provider."""
        from cxr.cloud.vertex.job_names import place_of

        return place_of(connection, seen)

    def check_attachable(self, kind: JobKind, seen: Seen) -> None:
        """See Provider."""
        from cxr.cloud.vertex.job_names import check_attachable

        check_attachable(kind, seen)

    def hourly_price(self, prices: PriceTable, kind: JobKind, asked: Mapping[str, Any]) -> float:
        """See Provider."""
        from cxr.cloud.vertex.job_names import hourly_price

        return hourly_price(prices, kind, asked)

    def worst_hours(self, kind: JobKind, asked: Mapping[str, Any]) -> float:
        """See Provider."""
        from cxr.cloud.vertex.job_names import worst_hours

        return worst_hours(kind, asked)

    def check_has_logs(self, job: Job) -> None:
        """See Provider."""
        from cxr.cloud.vertex.logs import check_has_logs

        check_has_logs(job)

    def log_lines(
        self, connection: Connection, job: Job, *, since: str = LOGS_SINCE, trial: str = ""
    ) -> Iterator[LogLine]:
        """See Provider."""
        from cxr.cloud.vertex.logs import log_lines

        return log_lines(connection, job, since=since, trial=trial)

    def last_lines(self, connection: Connection, job: Job, count: int) -> list[LogLine]:
        """See Provider."""
        from cxr.cloud.vertex.logs import last_lines

        return last_lines(connection, job, count)

    def last_epoch(self, connection: Connection, job: Job) -> dict[str, Any]:
        """See Provider."""
        from cxr.cloud.vertex.logs import last_epoch

        return last_epoch(connection, job)

    def trials(self, connection: Connection, job: Job) -> list[Trial]:
        """See Provider."""
        from cxr.cloud.vertex.tuning import read_trials

        return read_trials(connection, job)

    def model_output(self, connection: Connection, job: Job) -> ModelOutput:
        """See Provider."""
        from cxr.cloud.vertex.outputs import model_output

        return model_output(connection, job)

    def run_time(self, connection: Connection, job: Job) -> RunTime:
        """See Provider."""
        from cxr.cloud.vertex.run_times import automl_run_time, custom_run_time

        return (automl_run_time if job.kind is JobKind.AUTOML else custom_run_time)(connection, job)

    # Predictions

    def predicting_model(self, connection: Connection, job: Job, manifest_hash: str) -> PredictingModel:
        """See Provider."""
        from cxr.cloud.exporting.automl import check_model_manifest, is_stand_in
        from cxr.cloud.vertex.models import get_model
        from cxr.cloud.vertex.pipelines import model_of

        model = get_model(connection, model_of(connection, job))
        check_model_manifest(model, manifest_hash)
        return PredictingModel(model.resource, model.in_batches, model.online, is_stand_in(model))

    def plan_batch(
        self, connection: Connection, manifest: Manifest, model: str, trained_by: str, *, attempt: int = 1
    ) -> LaunchPlan:
        """See Provider."""
        from cxr.cloud.vertex.batch_prediction import plan_batch

        return plan_batch(connection, manifest, model, trained_by, attempt=attempt)

    def submit_batch(self, plan: LaunchPlan, manifest: Manifest, *, on_step: Say) -> Submitted:
        """See Provider."""
        from cxr.cloud.vertex.batch_prediction import submit_batch

        return submit_batch(plan, manifest, on_step=on_step)

    def read_scores(self, connection: Connection, job: Job, manifest: Manifest) -> Scores:
        """See Provider."""
        from cxr.cloud.vertex.batch_prediction import read_scores

        return read_scores(connection, job, manifest)

    def billed_hours(self, connection: Connection, job: Job) -> float | None:
        """See Provider."""
        from cxr.cloud.vertex.batch_prediction import billed_hours

        return billed_hours(connection, job)

    # Checks

    def checks(self) -> Sequence[Check]:
        """See Provider."""
        from cxr.cloud.vertex.preflight.table import CHECKS

        return CHECKS

    def survey(self, connection: Connection, subject: Subject, haul: Haul) -> Survey:
        """See Provider."""
        from cxr.cloud.vertex.preflight.survey import ProjectSurvey

        return ProjectSurvey(connection, subject, haul)

    def finding_of(self, check: str, error: CxrError, connection: Connection, *, essential: bool) -> Finding:
        """See Provider."""
        from cxr.cloud.preflight.findings import refused
        from cxr.cloud.vertex.preflight.refusals import reason_of

        return refused(check, error, reason_of(error, connection.project), essential=essential)

    # Leftovers

    def leftovers(self, hunt: Hunt, prices: PriceTable, *, keep_models: bool) -> list[Leftover]:
        """See Provider."""
        from cxr.cloud.vertex.leftovers import leftovers

        return leftovers(hunt, prices, keep_models=keep_models)

    def kept_records(self, kind: JobKind) -> str:
        """See Provider."""
        return ""

    def remove(self, connection: Connection, leftover: Leftover) -> None:
        """See Provider."""
        from cxr.cloud.vertex.removing import remove_resource

        remove_resource(connection, leftover)

    def cleaning_notes(self, connection: Connection, leftovers: Sequence[Leftover]) -> Iterator[str]:
        """See Provider."""
        from cxr.cloud.vertex.leftovers import cleaning_notes

        return cleaning_notes(connection, leftovers)


EMULATOR = Vertex(local=True)
GOOGLE = Vertex(local=False)
