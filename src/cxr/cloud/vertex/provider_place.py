"""Google's place for cxr: which one is meant, its bucket, what has to be started; and what is launched there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from cxr.cloud.connection import EMULATOR_IDLE_EXIT_S, Connection, check_names, is_region, required
from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.cloud.provider import (
    AutoMLWishes,
    Feature,
    HardwareWishes,
    JobOptions,
    LaunchOptions,
    ServerWishes,
    options_as,
)
from cxr.errors import UsageError
from cxr.settings import Settings, Target

if TYPE_CHECKING:
    from cxr.cloud.hardware import Hardware
    from cxr.cloud.hosting.host import Host
    from cxr.cloud.hosting.servers import PageServers
    from cxr.cloud.jobs.estimates import Expectation
    from cxr.cloud.jobs.journal import Journal
    from cxr.cloud.jobs.launching import Launch
    from cxr.cloud.prices.table import PriceList, PriceTable
    from cxr.cloud.trainer.job import CustomOptions, TuneOptions
    from cxr.manifests.manifest import Manifest
    from cxr.storage.bucket_state import BucketState
    from cxr.storage.transfer.haul import Haul

DEFAULT_MACHINE: Final = "g2-standard-4"
_LOCAL_NAMES: Final = {"project": "cxr-local", "bucket": "cxr-local"}


@dataclass(frozen=True, slots=True)
class VertexPlace:
    """See Provider. `local`: the emulator."""

    local: bool
    name: str = "Google"
    server_words: str = "the emulator of Google's storage and Vertex AI"
    real_flags: str = "--on gcp --project P --bucket B"
    scheme: str = "gs"
    default_region: str = "us-central1"
    bills_failed_automl: bool = False  # Vertex AI pricing page

    @property
    def usual(self) -> Mapping[str, str]:
        """See Provider."""
        return _LOCAL_NAMES if self.local else {}

    @property
    def lacks(self) -> Mapping[Feature, str]:
        """See Provider."""
        return {
            Feature.PAGE_SERVERS: "leave --engine out: a bucket serves it; for a server of your own: cxr web package"
        }

    @property
    def is_pointed_elsewhere(self) -> bool:
        """See Provider."""
        return self.local and bool(os.environ.get("STORAGE_EMULATOR_HOST"))

    # The place

    def is_region(self, name: str) -> bool:
        """See Provider."""
        return is_region(name)

    def resolve(self, settings: Settings) -> Connection:
        """See Provider."""
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
        return replace(connection, endpoint=self.start_server(settings, ServerWishes()))

    def start_server(self, settings: Settings, wishes: ServerWishes) -> str:
        """See Provider."""
        from cxr.cloud.emulator.process import ensure_running

        if not self.local:
            raise UsageError("Google is not a server of this machine", hint="--on emulator")
        return ensure_running(
            settings.emulator_dir,
            max_running_jobs=wishes.running_jobs,
            stand_in_epochs=wishes.stand_in_epochs,
            idle_exit_seconds=EMULATOR_IDLE_EXIT_S,
        )

    def stop_server(self, settings: Settings) -> None:
        """See Provider."""
        from cxr.cloud.emulator.process import stop

        stop(settings.emulator_dir)

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
        from cxr.storage.bucket_state import EVERYBODY
        from cxr.storage.buckets import bucket_policy

        try:
            bindings = bucket_policy(bucket.name, endpoint=connection.endpoint, project=connection.project)
        except NotAllowed:
            return False
        return any(EVERYBODY & set(binding["members"]) for binding in bindings)

    def host(self, settings: Settings, connection: Connection) -> Host:
        """See Provider."""
        from cxr.cloud.hosting.gcs_host import GcsHost

        return GcsHost(connection)

    def page_servers(self, connection: Connection, prices: PriceTable) -> PageServers:
        """See Provider."""
        raise UsageError(f"{self.name} has no {Feature.PAGE_SERVERS}", hint=self.lacks[Feature.PAGE_SERVERS])

    # Launches

    @property
    def prices(self) -> PriceList:
        """See Provider."""
        from cxr.cloud.vertex.prices import GOOGLE

        return GOOGLE

    def hardware(self, wishes: HardwareWishes) -> Hardware:
        """See Provider."""
        from cxr.cloud.vertex.offers import choose_hardware

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
        from cxr.cloud.trainer.job import PUBLIC_IMAGE

        return PUBLIC_IMAGE

    def automl_options(self, wishes: AutoMLWishes) -> JobOptions:
        """See Provider."""
        from cxr.cloud.vertex.automl import automl_options

        return automl_options(wishes)

    def plan_automl(
        self,
        connection: Connection,
        manifest: Manifest,
        options: JobOptions,
        *,
        prices: PriceTable | None,
        attempt: int = 1,
    ) -> LaunchPlan:
        """See Provider."""
        from cxr.cloud.vertex.automl import AutoMLOptions, plan_automl

        told = options_as(AutoMLOptions, options)
        return plan_automl(connection, manifest, told, prices=prices, attempt=attempt)

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

    def restore(self, kind: JobKind, request: Mapping[str, Any], weights: str) -> JobOptions:
        """See Provider."""
        from cxr.cloud.trainer.job import options_from, tune_options_from
        from cxr.cloud.vertex.automl import automl_options_from
        from cxr.cloud.vertex.offers import choose_hardware
        from cxr.cloud.vertex.tuning import study_spec

        if kind is JobKind.AUTOML:
            return automl_options_from(request)
        if kind is JobKind.TUNE:
            return tune_options_from(request, weights, choose_hardware, study_spec)
        return options_from(request, weights, choose_hardware)

    def launch(
        self, journal: Journal, plan: LaunchPlan, manifest: Manifest, options: JobOptions, how: LaunchOptions
    ) -> Launch:
        """See Provider."""
        from cxr.cloud.trainer.job import CustomOptions, TuneOptions
        from cxr.cloud.vertex.launches import launch_automl, launch_custom, launch_tune

        if plan.kind is JobKind.AUTOML:
            return launch_automl(journal, plan, manifest, allow_partial=how.allow_partial, on_step=how.on_step)
        if plan.kind is JobKind.TUNE:
            return launch_tune(journal, plan, manifest, options_as(TuneOptions, options), on_step=how.on_step)
        return launch_custom(journal, plan, manifest, options_as(CustomOptions, options), on_step=how.on_step)
