"""What every cloud does for cxr: one protocol, so that plans, tables, exit codes and words are the same everywhere.

Implementations: `cxr.cloud.vertex.provider` (Google, and the emulator), `cxr.cloud.aws.provider` (Amazon, and moto's
server). They are chosen by `cxr.cloud.providers`. Methods that ask a service raise what a Store raises (NotAllowed,
NotFound, Unreachable, InputError, Fault); nobody else needs to know which SDK is behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cxr.cloud.jobs.seen import LOGS_SINCE
from cxr.errors import UsageError
from cxr.progress import Say

if TYPE_CHECKING:
    from cxr.cloud.cleaning.found import Hunt
    from cxr.cloud.cleaning.leftovers import Leftover
    from cxr.cloud.connection import Connection
    from cxr.cloud.hardware import Hardware
    from cxr.cloud.hosting.host import Host
    from cxr.cloud.hosting.servers import PageServers
    from cxr.cloud.jobs.estimates import Expectation
    from cxr.cloud.jobs.journal import Job, Journal
    from cxr.cloud.jobs.launching import Launch, Submitted
    from cxr.cloud.jobs.seen import JobName, LogLine, ModelOutput, PredictingModel, RunTime, Seen, Trial
    from cxr.cloud.plans.launch import JobKind, LaunchPlan
    from cxr.cloud.predicting.scores import Scores
    from cxr.cloud.preflight.findings import Finding
    from cxr.cloud.preflight.run import Check
    from cxr.cloud.preflight.subject import Subject
    from cxr.cloud.preflight.survey import Survey
    from cxr.cloud.prices.table import PriceList, PriceTable
    from cxr.cloud.trainer.job import CustomOptions, TuneOptions
    from cxr.errors import CxrError
    from cxr.manifests.manifest import Manifest
    from cxr.settings import Settings
    from cxr.storage.bucket_state import BucketState
    from cxr.storage.transfer.haul import Haul


class Feature(StrEnum):
    """What only some clouds have; a provider that lacks one says what to do instead."""

    DATASETS = "datasets of the service"
    IMAGE_BUILDS = "builds of container images"
    EVALUATIONS = "evaluations by the service"
    ENDPOINTS = "online predictions"
    AUTOML_EXPORTS = "exports of AutoML's models"
    PAGE_SERVERS = "machines that serve a page"


@dataclass(frozen=True, slots=True)
class HardwareWishes:
    """Machines as asked for on the command line; None: the cloud's usual. `engine` names a way to run a job where a
    cloud has several."""

    machine: str | None = None
    gpus: int | None = None
    accelerator: str | None = None
    replicas: int = 1
    spot: bool | None = None
    disk_gb: int = 100
    engine: str | None = None


@dataclass(frozen=True, slots=True)
class AutoMLWishes:
    """What AutoML is to do, as asked for on the command line; None: the cloud's usual."""

    model_type: str | None = None
    budget_node_hours: float | None = None
    budget_hours: float | None = None


class JobOptions(Protocol):
    """What one job is told; of which class depends on its kind, and for AutoML on the cloud."""

    def request(self) -> dict[str, Any]:
        """What decides the job, for a plan."""


_Options = TypeVar("_Options")


def options_as(kind: type[_Options], options: JobOptions) -> _Options:
    """The options, as those of one kind of job. Raises TypeError for another's, which would be a mistake of ours."""
    if not isinstance(options, kind):
        raise TypeError(f"{type(options).__name__} where {kind.__name__} belongs")
    return options


@dataclass(frozen=True, slots=True)
class ServerWishes:
    """How a server that stands for a cloud does its jobs: how many at once, and how many epochs what stands for AutoML
    trains (None: its own)."""

    running_jobs: int | None = None
    stand_in_epochs: int | None = None


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """What a launch does beside its plan."""

    allow_partial: bool = False
    on_step: Say = lambda _: None


class Provider(Protocol):
    """One cloud, or the server on this machine that stands for it."""

    @property
    def name(self) -> str:
        """The cloud's name in a sentence: `Google`, `Amazon`."""

    @property
    def server_words(self) -> str:
        """What stands for it on this machine."""

    @property
    def real_flags(self) -> str:
        """The flags with which a command works on the cloud itself, with P and B for what has to be filled in."""

    @property
    def scheme(self) -> str:
        """Of its buckets' URLs: `gs`, `s3`."""

    @property
    def is_pointed_elsewhere(self) -> bool:
        """Whether the environment points its SDK to a server that is not cxr's own, in a rehearsal."""

    @property
    def default_region(self) -> str:
        """Where things are when nobody says."""

    @property
    def usual(self) -> Mapping[str, str]:
        """Project and bucket when nobody says, where there are such."""

    @property
    def bills_failed_automl(self) -> bool:
        """Whether an AutoML training that has failed may be charged for."""

    @property
    def lacks(self) -> Mapping[Feature, str]:
        """What it does not have, and what to do instead."""

    # The place

    def is_region(self, name: str) -> bool:
        """Whether a bucket's location is one of its regions."""

    def resolve(self, settings: Settings) -> Connection:
        """Which place is meant; nothing is started and nobody is asked. Raises UsageError."""

    def connect(self, connection: Connection, settings: Settings) -> Connection:
        """Make sure that the other end is there. Raises NotAllowed without credentials."""

    def start_server(self, settings: Settings, wishes: ServerWishes) -> str:
        """Start the server that stands for the cloud, unless it is running; its origin. Raises UsageError for the cloud
        itself."""

    def stop_server(self, settings: Settings) -> None:
        """End that server, and the jobs that it runs."""

    def will_start(self, settings: Settings) -> str:
        """What `connect` has to start first, in words; "" when it is there."""

    def scope(self, connection: Connection) -> str:
        """Project or account and region, in words."""

    def store_place(self, connection: Connection) -> dict[str, Any]:
        """The arguments of `open_store` that lead there."""

    def find_bucket(self, connection: Connection, haul: Haul | None = None) -> BucketState:
        """The connection's bucket."""

    def create_bucket(self, connection: Connection, haul: Haul | None = None) -> None:
        """Make it, private."""

    def bucket_is_public(self, connection: Connection, bucket: BucketState) -> bool:
        """Whether everybody may read what is in it."""

    def host(self, settings: Settings, connection: Connection) -> Host:
        """The bucket as a place for a page."""

    def page_servers(self, connection: Connection, prices: PriceTable) -> PageServers:
        """The machines that serve the page at a connection's prefix. Raises UsageError where there are none."""

    # Launches

    @property
    def prices(self) -> PriceList:
        """What it charges, as data."""

    def hardware(self, wishes: HardwareWishes) -> Hardware:
        """The machines of a job. Raises UsageError for what is not offered."""

    def engine(self, wishes: HardwareWishes) -> str:
        """The way to run a job, "" where there is but one."""

    def image(self, connection: Connection, hardware: Hardware, wishes: HardwareWishes) -> str:
        """The container image of a job when nobody names one."""

    def automl_options(self, wishes: AutoMLWishes) -> JobOptions:
        """What AutoML is told. Raises UsageError for wishes that mean nothing here."""

    def plan_automl(
        self,
        connection: Connection,
        manifest: Manifest,
        options: JobOptions,
        *,
        prices: PriceTable | None,
        attempt: int = 1,
    ) -> LaunchPlan:
        """The plan of an AutoML job. Nothing is asked of the service."""

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
        """The plan of a job of the own trainer. Nothing is asked of the service."""

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
        """The plan of a tuning job. Nothing is asked of the service."""

    def restore(self, kind: JobKind, request: Mapping[str, Any], weights: str) -> JobOptions:
        """The options that a saved plan's request was made of. Raises InputError when it is not whole."""

    def launch(
        self, journal: Journal, plan: LaunchPlan, manifest: Manifest, options: JobOptions, how: LaunchOptions
    ) -> Launch:
        """Check what has to be true, write to the journal, ask the service; a job that is there is found instead."""

    # Jobs

    def find_launched(self, plan: LaunchPlan) -> Seen | None:
        """The plan's job on the service, if there is one."""

    def look(self, connection: Connection, kind: JobKind, resource: str) -> Seen:
        """Ask for one job. Raises NotFound, and ValueError for something that is no such job."""

    def cancel(self, connection: Connection, kind: JobKind, resource: str) -> None:
        """Ask for the end of a job. Raises InputError when it cannot be ended any more."""

    def labelled_jobs(self, connection: Connection, kinds: Iterable[JobKind]) -> Iterator[tuple[JobKind, Seen]]:
        """All jobs there that carry one of cxr's labels."""

    def unfinished_jobs(self, connection: Connection) -> Iterator[tuple[JobKind, Seen]]:
        """All jobs there that have not ended, whoever has launched them."""

    def parse_name(self, text: str, kind: str | None) -> JobName:
        """A job's name as users give it. Raises UsageError saying what is missing or wrong."""

    def full_name(self, connection: Connection, name: JobName) -> str:
        """The resource name of a job that was named by its id."""

    def place_of(self, connection: Connection, seen: Seen) -> Connection:
        """Where a job that was started elsewhere works, by its resource name and where it writes."""

    def check_attachable(self, kind: JobKind, seen: Seen) -> None:
        """Raises UsageError for a job of a sort that cxr does not follow."""

    def hourly_price(self, prices: PriceTable, kind: JobKind, asked: Mapping[str, Any]) -> float:
        """USD an hour at most by a job's details, all replicas together; 0 when it is not known."""

    def worst_hours(self, kind: JobKind, asked: Mapping[str, Any]) -> float:
        """Hours that a job is paid for at most by its details; 0 when it is not known."""

    def check_has_logs(self, job: Job) -> None:
        """Raises UsageError, saying where to look instead, for a job whose log nobody can read."""

    def log_lines(
        self, connection: Connection, job: Job, *, since: str = LOGS_SINCE, trial: str = ""
    ) -> Iterator[LogLine]:
        """What a job has written, oldest first, from the time `since` on."""

    def last_lines(self, connection: Connection, job: Job, count: int) -> list[LogLine]:
        """The last lines, oldest first."""

    def last_epoch(self, connection: Connection, job: Job) -> dict[str, Any]:
        """`epoch`, `epochs` and `measured_at` by the log, or nothing."""

    def trials(self, connection: Connection, job: Job) -> list[Trial]:
        """The trials of a tuning job, best first."""

    def model_output(self, connection: Connection, job: Job) -> ModelOutput:
        """Where the trainer left its bundle. Raises JobFailed when no trial has one."""

    def run_time(self, connection: Connection, job: Job) -> RunTime:
        """How long a job ran, as it is billed."""

    # Predictions

    def predicting_model(self, connection: Connection, job: Job, manifest_hash: str) -> PredictingModel:
        """What AutoML has trained. Raises JobFailed without one, RulerMismatch when it is of another manifest."""

    def plan_batch(
        self, connection: Connection, manifest: Manifest, model: str, trained_by: str, *, attempt: int = 1
    ) -> LaunchPlan:
        """The plan of scoring the manifest's test images. Nothing is asked of the service."""

    def submit_batch(self, plan: LaunchPlan, manifest: Manifest, *, on_step: Say) -> Submitted:
        """Make the job; one of the same plan is found instead."""

    def read_scores(self, connection: Connection, job: Job, manifest: Manifest) -> Scores:
        """The answers of a finished batch. Raises CheckFailed for what is not whole."""

    def billed_hours(self, connection: Connection, job: Job) -> float | None:
        """Hours of a finished batch, None when they are not known."""

    # Checks

    def checks(self) -> Sequence[Check]:
        """What is looked at before a launch or an upload, in order."""

    def survey(self, connection: Connection, subject: Subject, haul: Haul) -> Survey:
        """The answers that checks share, each asked for once."""

    def finding_of(self, check: str, error: CxrError, connection: Connection, *, essential: bool) -> Finding:
        """The finding that stands for a check that could not be made."""

    # Leftovers

    def leftovers(self, hunt: Hunt, prices: PriceTable, *, keep_models: bool) -> list[Leftover]:
        """What runs left on the service: everything but jobs and objects."""

    def kept_records(self, kind: JobKind) -> str:
        """Why a finished job of this kind stays on the service although nothing of it is left; "" when it can go."""

    def remove(self, connection: Connection, leftover: Leftover) -> None:
        """Delete one thing on the service, and wait until it is gone. Raises NotFound when it is not there."""

    def cleaning_notes(self, connection: Connection, leftovers: Sequence[Leftover]) -> Iterator[str]:
        """What a reader of a clean-up's plan should know."""


def check_offered(provider: Provider, feature: Feature) -> None:
    """Raises UsageError, saying what to do instead, for a feature that a cloud does not have."""
    instead = provider.lacks.get(feature)
    if instead is not None:
        raise UsageError(f"{provider.name} has no {feature}, or cxr does not use them", hint=instead)
