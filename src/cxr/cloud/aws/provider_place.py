"""Amazon's place for cxr: which one is meant, its bucket, what has to be started; and what is launched there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from cxr.cloud.aws.names import is_region
from cxr.cloud.connection import EMULATOR_IDLE_EXIT_S, Connection, check_names, required
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

#: The account, role and machine's profile that the server on this machine is shown; it checks none of them.
LOCAL_ACCOUNT: Final = "123456789012"
FIRST_REGION: Final = "us-east-1"
_LOCAL_NAMES: Final = {"bucket": "cxr-local"}
_LOCAL_ROLE: Final = f"arn:aws:iam::{LOCAL_ACCOUNT}:role/cxr-local"


@dataclass(frozen=True, slots=True)
class AmazonPlace:
    """See Provider. `local`: moto's server on this machine, with a runner beside it that does the work."""

    local: bool
    name: str = "Amazon"
    server_words: str = "moto's server, which stands for Amazon's S3 and SageMaker"
    real_flags: str = "--on aws --bucket B"
    scheme: str = "s3"
    bills_failed_automl: bool = True

    @property
    def default_region(self) -> str:
        """See Provider. On Amazon what boto3 is told by the environment; a profile's own region is not read."""
        told = "" if self.local else os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        return told or FIRST_REGION

    @property
    def usual(self) -> Mapping[str, str]:
        """See Provider."""
        return _LOCAL_NAMES if self.local else {}

    @property
    def lacks(self) -> Mapping[Feature, str]:
        """See Provider."""
        return {
            Feature.DATASETS: "SageMaker has no datasets to fill: training jobs and Autopilot read the bucket itself",
            Feature.IMAGE_BUILDS: "jobs run in Amazon's own TensorFlow container; name another with --image",
            Feature.EVALUATIONS: "Autopilot's own figures are not those of your test images: "
            "cxr cloud evaluate JOB --predict batch --manifest manifest.csv",
            Feature.AUTOML_EXPORTS: "Autopilot's model runs in Amazon's own container only: no TFLite, no TF.js. "
            "Judge it by cxr cloud evaluate JOB --predict batch --manifest manifest.csv",
            Feature.ENDPOINTS: "predict in a batch, which ends by itself: --predict batch",
        }

    @property
    def is_pointed_elsewhere(self) -> bool:
        """See Provider. A rehearsal on cxr's own server does not look at AWS_ENDPOINT_URL."""
        return False

    # The place

    def is_region(self, name: str) -> bool:
        """See Provider."""
        return is_region(name)

    def resolve(self, settings: Settings) -> Connection:
        """See Provider. The account is that of the credentials; one that is named is checked against them."""
        bucket = settings.bucket or self.usual.get("bucket") or required(settings, "bucket", "Amazon S3")
        region = settings.region or self.default_region
        check_names(bucket, settings)
        if "_" in bucket:
            raise UsageError(f"{bucket!r} is not a legal bucket name", hint="S3 takes no underscores")
        if not is_region(region):
            raise UsageError(f"{region!r} is not a region of Amazon's", hint="a region looks like us-east-1")
        project = settings.project or ""
        if project and not (project.isdigit() and len(project) == 12):
            raise UsageError(
                f"{project!r} is not the number of an account", hint="--project is 12 digits here, or left out"
            )
        return Connection(
            Target.AWS_LOCAL if self.local else Target.AWS,
            project,
            region,
            bucket,
            settings.prefix.strip("/"),
            None,
            role=settings.role or (_LOCAL_ROLE if self.local else ""),
            instance_profile=settings.instance_profile or ("cxr-local" if self.local else ""),
        )

    def connect(self, connection: Connection, settings: Settings) -> Connection:
        """See Provider."""
        if not self.local:
            from cxr.cloud.aws.credentials import check_credentials

            check_credentials()
            return connection
        return replace(connection, endpoint=self.start_server(settings, ServerWishes()))

    def start_server(self, settings: Settings, wishes: ServerWishes) -> str:
        """See Provider."""
        from cxr.cloud.aws.local.process import ensure_running

        if not self.local:
            raise UsageError("Amazon is not a server of this machine", hint="--on aws-local")
        return ensure_running(
            settings.aws_local_dir,
            max_running_jobs=wishes.running_jobs,
            stand_in_epochs=wishes.stand_in_epochs,
            idle_exit_seconds=EMULATOR_IDLE_EXIT_S,
        )

    def stop_server(self, settings: Settings) -> None:
        """See Provider."""
        from cxr.cloud.aws.local.process import stop

        stop(settings.aws_local_dir)

    def will_start(self, settings: Settings) -> str:
        """See Provider."""
        if not self.local:
            return ""
        from cxr.cloud.aws.local.process import running_url

        if running_url(settings.aws_local_dir) is not None:
            return ""
        return (
            "starting moto's server, which stands for Amazon (nothing leaves this machine; stop it with: "
            "cxr emulator stop --on aws-local)"
        )

    def scope(self, connection: Connection) -> str:
        """See Provider."""
        return f"account {connection.project}, {connection.region}" if connection.project else connection.region

    def store_place(self, connection: Connection) -> dict[str, Any]:
        """See Provider."""
        from cxr.cloud.aws.clients import place_of

        return {"aws": place_of(connection)}

    def find_bucket(self, connection: Connection, haul: Haul | None = None) -> BucketState:
        """See Provider."""
        from cxr.cloud.aws.clients import place_of
        from cxr.storage.amazon.buckets import find_s3_bucket

        return find_s3_bucket(connection.bucket, place=place_of(connection), haul=haul)

    def create_bucket(self, connection: Connection, haul: Haul | None = None) -> None:
        """See Provider."""
        from cxr.cloud.aws.clients import place_of
        from cxr.storage.amazon.buckets import create_private_s3_bucket

        create_private_s3_bucket(connection.bucket, region=connection.region, place=place_of(connection), haul=haul)

    def bucket_is_public(self, connection: Connection, bucket: BucketState) -> bool:
        """See Provider."""
        from cxr.cloud.aws.clients import place_of
        from cxr.storage.amazon.buckets import shows_everybody

        return shows_everybody(bucket.name, place=place_of(connection))

    def host(self, settings: Settings, connection: Connection) -> Host:
        """See Provider."""
        from cxr.cloud.aws.clients import place_of
        from cxr.cloud.hosting.s3_host import S3Host

        return S3Host(connection.bucket, place=place_of(connection), on=connection.on)

    def page_servers(self, connection: Connection, prices: PriceTable) -> PageServers:
        """See Provider."""
        from cxr.cloud.aws.ec2.page_machines import Ec2PageServers

        return Ec2PageServers(connection, prices)

    # Launches

    @property
    def prices(self) -> PriceList:
        """See Provider."""
        from cxr.cloud.aws.prices import AMAZON

        return AMAZON

    def hardware(self, wishes: HardwareWishes) -> Hardware:
        """See Provider. EC2's machines are spot machines unless said otherwise."""
        from cxr.cloud.aws.offers import DEFAULT_MACHINES, Engine, choose_hardware

        engine = self.engine(wishes)
        spot = engine == Engine.EC2 if wishes.spot is None else wishes.spot
        return choose_hardware(
            wishes.machine or DEFAULT_MACHINES[Engine(engine)],
            gpus=wishes.gpus,
            accelerator=wishes.accelerator,
            replicas=wishes.replicas,
            spot=spot,
            disk_gb=wishes.disk_gb,
            engine=engine,
        )

    def engine(self, wishes: HardwareWishes) -> str:
        """See Provider."""
        from cxr.cloud.aws.offers import Engine

        try:
            return Engine(wishes.engine or Engine.SAGEMAKER)
        except ValueError:
            raise UsageError(
                f"there is no engine {wishes.engine!r}", hint=f"choose one of: {', '.join(Engine)}"
            ) from None

    def image(self, connection: Connection, hardware: Hardware, wishes: HardwareWishes) -> str:
        """See Provider."""
        from cxr.cloud.aws.images import training_image
        from cxr.cloud.aws.offers import Engine
        from cxr.cloud.trainer.job import PUBLIC_IMAGE

        if self.engine(wishes) == Engine.EC2:
            return PUBLIC_IMAGE
        return training_image(connection.region, gpu=hardware.gpus > 0)

    def automl_options(self, wishes: AutoMLWishes) -> JobOptions:
        """See Provider."""
        from cxr.cloud.aws.sagemaker.autopilot import autopilot_options

        return autopilot_options(wishes)

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
        from cxr.cloud.aws.sagemaker.autopilot import AutopilotOptions, plan_autopilot

        return plan_autopilot(
            connection, manifest, options_as(AutopilotOptions, options), prices=prices, attempt=attempt
        )

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
        from cxr.cloud.aws.trainings import plan_custom

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
        from cxr.cloud.aws.trainings import plan_tune

        return plan_tune(connection, manifest, options, prices=prices, epochs=epochs, attempt=attempt)

    def restore(self, kind: JobKind, request: Mapping[str, Any], weights: str) -> JobOptions:
        """See Provider."""
        from cxr.cloud.aws.trainings import restore

        return restore(kind, request, weights)

    def launch(
        self, journal: Journal, plan: LaunchPlan, manifest: Manifest, options: JobOptions, how: LaunchOptions
    ) -> Launch:
        """See Provider."""
        from cxr.cloud.aws.trainings import launch

        return launch(journal, plan, manifest, options, how)
