"""Google, and the emulator that stands for it, as a provider: which function does what.

Every method loads what it needs when it is called: Google's SDKs take seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cxr.cloud.connection import EMULATOR_IDLE_EXIT_S, Connection, check_names, is_region, required
from cxr.cloud.plans import JobKind, LaunchPlan
from cxr.cloud.provider import AutoMLWishes, Feature, HardwareWishes, LaunchOptions, Say
from cxr.cloud.seen import LOGS_SINCE, JobName, LogLine, ModelOutput, PredictingModel, RunTime, Seen, Trial
from cxr.errors import UsageError
from cxr.settings import Settings, Target

if TYPE_CHECKING:
    from cxr.cloud.cleaning.found import Hunt
    from cxr.cloud.cleaning.leftovers import Leftover
    from cxr.cloud.estimates import Expectation
    from cxr.cloud.hosting.host import Host
    from cxr.cloud.journal import Job, Journal
    from cxr.cloud.launching import Launch, Submitted
    from cxr.cloud.offers import Hardware
    from cxr.cloud.preflight.findings import Finding
    from cxr.cloud.preflight.run import Check
    from cxr.cloud.preflight.subject import Subject
    from cxr.cloud.preflight.survey import Survey
    from cxr.cloud.prices import PriceList, PriceTable
    from cxr.cloud.scores import Scores
    from cxr.cloud.trainer_job import CustomOptions, TuneOptions
    from cxr.errors import CxrError
    from cxr.manifests.manifest import Manifest
    from cxr.storage.buckets import BucketState
    from cxr.storage.transfer.haul import Haul

DEFAULT_MACHINE: Final = "g2-standard-4"
_LOCAL_NAMES: Final = {"project": "cxr-local", "bucket": "cxr-local"}


@dataclass(frozen=True, slots=True)
class Vertex:
    """See Provider. `local`: the emulator."""

    local: bool
    name: str = "Google"
    scheme: str = "gs"
    default_region: str = "us-central1"

    @property
    def usual(self) -> Mapping[str, str]:
        """See Provider."""
        return _LOCAL_NAMES if self.local else {}

    @property
    def lacks(self) -> Mapping[Feature, str]:
        """See Provider."""
        return {}

    # The place

    def is_region(self, name: str) -> bool:
        """See Provider."""
        return is_region(name)

    def resolve(self, settings: Settings) -> Connection:
        """See Provider."""
        import os

        if not self.local and os.environ.get("STORAGE_EMULATOR_HOST"):
            raise UsageError(
                "STORAGE_EMULATOR_HOST is set: files would go to that server and jobs to Google",
                hint="unset STORAGE_EMULATOR_HOST, or work with --on emulator",
            )
        project, bucket = (
            getattr(settings, name) or self.usual.get(name) or required(settings, name, "Google Cloud")
            for name in ("project", "bucket")
        )
        region = settings.region or self.default_region
        check_names(bucket, settings)
        if not is_region(region):
            raise UsageError(f"{region!r} is not a region", hint="a region looks like us-central1")
        target = Target.EMULATOR if self.local else Target.GCP
        return Connection(target, project, region, bucket, settings.prefix.strip("/"), None)

    def connect(self, connection: Connection, settings: Settings) -> Connection:
        """See Provider."""
        if not self.local:
            from cxr.cloud.vertex.credentials import check_credentials

            check_credentials()
            return connection
        from cxr.cloud.emulator.process import ensure_running

        url = ensure_running(settings.emulator_dir, idle_exit_seconds=EMULATOR_IDLE_EXIT_S)
        return replace(connection, endpoint=url)

    def will_start(self, settings: Settings) -> str:
        """See Provider."""
        if not self.local:
            return ""
        from cxr.cloud.emulator.process import running_url

        if running_url(settings.emulator_dir) is not None:
            return ""
        state = "" if settings.emulator_dir == Settings().emulator_dir else f" --state {settings.emulator_dir}"
        return f"starting the emulator (nothing leaves this machine; stop it with: cxr emulator stop{state})"

    def scope(self, connection: Connection) -> str:
        """See Provider."""
        return connection.parent

    def store_place(self, connection: Connection) -> dict[str, Any]:
        """See Provider."""
        return {"endpoint": connection.endpoint, "project": connection.project}

    def find_bucket(self, connection: Connection, haul: Haul | None = None) -> BucketState:
        """See Provider."""
        from cxr.storage.buckets import find_bucket

        return find_bucket(connection.bucket, endpoint=connection.endpoint, project=connection.project, haul=haul)

    def create_bucket(self, connection: Connection, haul: Haul | None = None) -> None:
        """See Provider."""
        from cxr.storage.buckets import create_private_bucket

        create_private_bucket(
            connection.bucket,
            region=connection.region,
            endpoint=connection.endpoint,
            project=connection.project,
            haul=haul,
        )

    def bucket_is_public(self, connection: Connection, bucket: BucketState) -> bool:
        """See Provider. Who may not read the policy is told elsewhere that public access is not prevented."""
        from cxr.errors import NotAllowed
        from cxr.storage.buckets import EVERYBODY, bucket_policy

        try:
            bindings = bucket_policy(bucket.name, endpoint=connection.endpoint, project=connection.project)
        except NotAllowed:
            return False
        return any(EVERYBODY & set(binding["members"]) for binding in bindings)

    def host(self, settings: Settings, connection: Connection) -> Host:
        """See Provider."""
        from cxr.cloud.hosting.gcs_host import GcsHost

        return GcsHost(connection)

    # Launches

    @property
    def prices(self) -> PriceList:
        """See Provider."""
        from cxr.cloud.prices import GOOGLE

        return GOOGLE

    def price_table(self, override: Path | None = None) -> PriceTable:
        """See Provider."""
        from cxr.cloud.prices import price_table

        return price_table(override, self.prices)

    def hardware(self, wishes: HardwareWishes) -> Hardware:
        """See Provider."""
        from cxr.cloud.offers import choose_hardware

        if wishes.engine:
            raise UsageError(f"Google has one engine, not {wishes.engine!r}", hint="leave --engine out, or --on aws")
        return choose_hardware(
            wishes.machine or DEFAULT_MACHINE,
            gpus=wishes.gpus,
            accelerator=wishes.accelerator,
            replicas=wishes.replicas,
            spot=bool(wishes.spot),
            disk_gb=wishes.disk_gb,
        )

    def engine(self, wishes: HardwareWishes) -> str:
        """See Provider."""
        return ""

    def image(self, connection: Connection, hardware: Hardware, wishes: HardwareWishes) -> str:
        """See Provider. The service's own prebuilt images are past their end."""
        from cxr.cloud.trainer_job import PUBLIC_IMAGE

        return PUBLIC_IMAGE

    def automl_options(self, wishes: AutoMLWishes) -> Any:
        """See Provider."""
        from cxr.cloud.vertex.automl import automl_options

        return automl_options(wishes)

    def plan_automl(
        self, connection: Connection, manifest: Manifest, options: Any, *, prices: PriceTable | None, attempt: int = 1
    ) -> LaunchPlan:
        """See Provider."""
        from cxr.cloud.vertex.automl import plan_automl

        return plan_automl(connection, manifest, options, prices=prices, attempt=attempt)

    def plan_custom(
        self,
        connection: Connection,
        manifest: Manifest,
        options: CustomOptions,
        *,
        prices: PriceTable | None,
        expectation: Expectation | None = None,
        epochs: int | None = None,
        attempt: int = 1,
    ) -> LaunchPlan:
        """See Provider."""
        from cxr.cloud.vertex.custom import plan_custom

        return plan_custom(
            connection, manifest, options, prices=prices, expectation=expectation, epochs=epochs, attempt=attempt
        )

    def plan_tune(
        self,
        connection: Connection,
        manifest: Manifest,
        options: TuneOptions,
        *,
        prices: PriceTable | None,
        epochs: int | None = None,
        attempt: int = 1,
    ) -> LaunchPlan:
        """See Provider."""
        from cxr.cloud.vertex.tuning import plan_tune

        return plan_tune(connection, manifest, options, prices=prices, epochs=epochs, attempt=attempt)

    def restore(self, kind: JobKind, request: Mapping[str, Any], weights: str) -> Any:
        """See Provider."""
        from cxr.cloud.offers import choose_hardware
        from cxr.cloud.trainer_job import options_from
        from cxr.cloud.vertex.automl import automl_options_from
        from cxr.cloud.vertex.tuning import tune_options_from

        if kind is JobKind.AUTOML:
            return automl_options_from(request)
        if kind is JobKind.TUNE:
            return tune_options_from(request, weights)
        return options_from(request, weights, choose_hardware)

    def launch(
        self, journal: Journal, plan: LaunchPlan, manifest: Manifest, options: Any, how: LaunchOptions
    ) -> Launch:
        """See Provider."""
        from cxr.cloud.vertex.launches import launch_automl, launch_custom, launch_tune

        if plan.kind is JobKind.AUTOML:
            return launch_automl(journal, plan, manifest, allow_partial=how.allow_partial, on_step=how.on_step)
        start = launch_tune if plan.kind is JobKind.TUNE else launch_custom
        return start(journal, plan, manifest, options, on_step=how.on_step)

    # Jobs

    def find_launched(self, plan: LaunchPlan) -> Seen | None:
        """See Provider."""
        from cxr.cloud.vertex.found import find_launched

        return find_launched(plan)

    def look(self, connection: Connection, kind: JobKind, resource: str) -> Seen:
        """See Provider."""
        from cxr.cloud.vertex.job_kinds import SERVICES
        from cxr.storage.google_errors import polling_errors

        with polling_errors(f"ask for {resource}"):
            return SERVICES[kind].get(connection, resource)

    def cancel(self, connection: Connection, kind: JobKind, resource: str) -> None:
        """See Provider."""
        from cxr.cloud.vertex.job_kinds import SERVICES
        from cxr.storage.google_errors import google_errors

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
        from cxr.cloud.vertex.preflight.refusals import finding_of

        return finding_of(check, error, connection.project, essential=essential)

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
