"""Amazon, and the server on this machine that stands for it, as a provider: which function does what.

Every method loads what it needs when it is called: boto3 takes half a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cxr.cloud.aws.provider_place import AmazonPlace
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.seen import LOGS_SINCE, JobName, LogLine, ModelOutput, PredictingModel, RunTime, Seen, Trial
from cxr.cloud.plans.launch import JobKind, LaunchPlan
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
class Amazon(AmazonPlace):
    """See Provider."""

    # Jobs

    def find_launched(self, plan: LaunchPlan) -> Seen | None:
        """See Provider."""
        from cxr.cloud.aws.jobs import find_launched

        return find_launched(plan)

    def look(self, connection: Connection, kind: JobKind, resource: str) -> Seen:
        """See Provider."""
        from cxr.cloud.aws.jobs import look

        return look(connection, kind, resource)

    def cancel(self, connection: Connection, kind: JobKind, resource: str) -> None:
        """See Provider."""
        from cxr.cloud.aws.jobs import cancel

        cancel(connection, kind, resource)

    def labelled_jobs(self, connection: Connection, kinds: Iterable[JobKind]) -> Iterator[tuple[JobKind, Seen]]:
        """See Provider."""
        from cxr.cloud.aws.jobs import labelled_jobs

        return labelled_jobs(connection, kinds)

    def unfinished_jobs(self, connection: Connection) -> Iterator[tuple[JobKind, Seen]]:
        """See Provider."""
        from cxr.cloud.aws.jobs import unfinished_jobs

        return unfinished_jobs(connection)

    def parse_name(self, text: str, kind: str | None) -> JobName:
        """See Provider."""
        from cxr.cloud.aws.names import parse_job_name

        return parse_job_name(text, kind)

    def full_name(self, connection: Connection, name: JobName) -> str:
        """See Provider."""
        from cxr.cloud.aws.jobs import full_name

        return full_name(connection, name)

    def place_of(self, connection: Connection, seen: Seen) -> Connection:
        """See Provider."""
        from cxr.cloud.aws.names import job_place

        return job_place(connection, seen)

    def check_attachable(self, kind: JobKind, seen: Seen) -> None:
        """See Provider."""
        from cxr.cloud.aws.jobs import check_attachable

        check_attachable(kind, seen)

    def hourly_price(self, prices: PriceTable, kind: JobKind, asked: Mapping[str, Any]) -> float:
        """See Provider."""
        from cxr.cloud.aws.jobs import hourly_price

        return hourly_price(prices, kind, asked)

    def worst_hours(self, kind: JobKind, asked: Mapping[str, Any]) -> float:
        """See Provider."""
        from cxr.cloud.aws.jobs import worst_hours

        return worst_hours(kind, asked)

    def check_has_logs(self, job: Job) -> None:
        """See Provider."""
        from cxr.cloud.aws.logs import check_has_logs

        check_has_logs(job)

    def log_lines(
        self, connection: Connection, job: Job, *, since: str = LOGS_SINCE, trial: str = ""
    ) -> Iterator[LogLine]:
        """See Provider."""
        from cxr.cloud.aws.logs import log_lines

        return log_lines(connection, job, since=since, trial=trial)

    def last_lines(self, connection: Connection, job: Job, count: int) -> list[LogLine]:
        """See Provider."""
        from cxr.cloud.aws.logs import last_lines

        return last_lines(connection, job, count)

    def last_epoch(self, connection: Connection, job: Job) -> dict[str, Any]:
        """See Provider."""
        from cxr.cloud.aws.logs import last_epoch

        return last_epoch(connection, job)

    def trials(self, connection: Connection, job: Job) -> list[Trial]:
        """See Provider."""
        from cxr.cloud.aws.sagemaker.tuning import read_trials

        return read_trials(connection, job)

    def model_output(self, connection: Connection, job: Job) -> ModelOutput:
        """See Provider."""
        from cxr.cloud.aws.outputs import model_output

        return model_output(connection, job)

    def run_time(self, connection: Connection, job: Job) -> RunTime:
        """See Provider."""
        from cxr.cloud.aws.outputs import run_time

        return run_time(connection, job)

    # Predictions

    def predicting_model(self, connection: Connection, job: Job, manifest_hash: str) -> PredictingModel:
        """See Provider. The journal knows the manifest: candidates carry no tags."""
        from cxr.cloud.aws.sagemaker.transform import predicting_model

        return predicting_model(connection, job)

    def plan_batch(
        self, connection: Connection, manifest: Manifest, model: str, trained_by: str, *, attempt: int = 1
    ) -> LaunchPlan:
        """See Provider."""
        from cxr.cloud.aws.sagemaker.transform import plan_transform

        return plan_transform(connection, manifest, model, trained_by, attempt=attempt)

    def submit_batch(self, plan: LaunchPlan, manifest: Manifest, *, on_step: Say) -> Submitted:
        """See Provider."""
        from cxr.cloud.aws.sagemaker.transform import submit_transform

        return submit_transform(plan, manifest, on_step=on_step)

    def read_scores(self, connection: Connection, job: Job, manifest: Manifest) -> Scores:
        """See Provider."""
        from cxr.cloud.aws.sagemaker.transform import read_scores

        return read_scores(connection, job, manifest)

    def billed_hours(self, connection: Connection, job: Job) -> float | None:
        """See Provider."""
        from cxr.cloud.aws.sagemaker.transform import billed_hours

        return billed_hours(job)

    # Checks

    def checks(self) -> Sequence[Check]:
        """See Provider."""
        from cxr.cloud.aws.preflight.table import CHECKS

        return CHECKS

    def survey(self, connection: Connection, subject: Subject, haul: Haul) -> Survey:
        """See Provider."""
        from cxr.cloud.aws.preflight.survey import AccountSurvey

        return AccountSurvey(connection, subject, haul)

    def finding_of(self, check: str, error: CxrError, connection: Connection, *, essential: bool) -> Finding:
        """See Provider."""
        from cxr.cloud.aws.preflight.refusals import reason_of
        from cxr.cloud.preflight.findings import refused

        return refused(check, error, reason_of(error), essential=essential)

    # Leftovers

    def leftovers(self, hunt: Hunt, prices: PriceTable, *, keep_models: bool) -> list[Leftover]:
        """See Provider."""
        from cxr.cloud.aws.leftovers import leftovers

        return leftovers(hunt, prices, keep_models=keep_models)

    def kept_records(self, kind: JobKind) -> str:
        """See Provider."""
        from cxr.cloud.aws.leftovers import RECORD

        return RECORD

    def remove(self, connection: Connection, leftover: Leftover) -> None:
        """See Provider."""
        from cxr.cloud.aws.leftovers import remove

        remove(connection, leftover)

    def cleaning_notes(self, connection: Connection, leftovers: Sequence[Leftover]) -> Iterator[str]:
        """See Provider."""
        from cxr.cloud.aws.leftovers import cleaning_notes

        return cleaning_notes(connection, leftovers)


LOCAL = Amazon(local=True)
AMAZON = Amazon(local=False)
