"""The plans of jobs of the own trainer: what they cost at most, what they make, by the rules of the cloud."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cxr.cloud.connection import Connection
from cxr.cloud.hardware import Hardware
from cxr.cloud.jobs.estimates import Expectation, expected_run
from cxr.cloud.plans.launch import JobKind, LaunchPlan, cost_of
from cxr.cloud.prices.table import HourlyPrice, PriceTable, price_table
from cxr.cloud.trainer.job import METRIC, CustomOptions, SpaceParameter, TuneOptions, check_trainable, work_of
from cxr.errors import UsageError
from cxr.manifests.manifest import Manifest


@dataclass(frozen=True, slots=True)
class TrainerRules:
    """What a cloud (or one of its engines) says of such jobs: limits, what it calls them, what becomes of a spot
    machine that is taken back."""

    maximum_timeout_hours: float
    maximum_trials: int
    maximum_parallel: int
    job: str
    tuning_job: str
    spot: str
    #: The shortest timeout that a container can even start in.
    minimum_timeout_hours: float = 1 / 60
    #: Hours that a machine may be paid for beyond the timeout.
    overtime_hours: float = 0.0

    def check_timeout(self, hours: float) -> None:
        """Raises UsageError for a timeout that the service does not take or that bounds nothing."""
        most = self.maximum_timeout_hours
        if not self.minimum_timeout_hours <= hours <= most:
            raise UsageError(
                f"a timeout of {hours:g} hours is not between a minute and {most:g} hours ({most / 24:g} days)"
            )

    def check_trials(self, options: TuneOptions) -> None:
        """Raises UsageError for counts that the service does not take."""
        if not 1 <= options.trials <= self.maximum_trials:
            raise UsageError(f"{options.trials} trials are not between 1 and {self.maximum_trials:,}")
        most = min(options.trials, self.maximum_parallel)
        if not 1 <= options.parallel <= most:
            raise UsageError(
                f"{options.parallel} trials at once are not between 1 and {most}",
                hint=f"--parallel {min(2, options.trials)}",
            )
        if not options.space:
            raise UsageError("the search space has no parameter")


def plan_custom(
    connection: Connection,
    manifest: Manifest,
    options: CustomOptions,
    rules: TrainerRules,
    *,
    prices: PriceTable | None = None,
    expectation: Expectation | None = None,
    epochs: int | None = None,
    attempt: int = 1,
) -> LaunchPlan:
    """The plan of one GPU job. Nothing is asked of the service.

    `expectation` is what earlier jobs have shown; without one it is assumed, for `epochs` passes when the options name
    none. Raises UsageError for hardware whose price is unknown or a timeout out of range, InputError for a weights file
    that is not there or an empty split.
    """
    rules.check_timeout(options.timeout_hours)
    check_trainable(manifest)
    price = (prices or price_table(None, connection.provider.prices)).hardware(options.hardware)
    expected = expectation or expected_run(options.hardware, work_of(manifest, options.epochs or epochs))
    return LaunchPlan(
        kind=JobKind.CUSTOM,
        connection=connection,
        manifest_hash=manifest.hash,
        request=options.request(),
        cost=cost_of(
            price,
            worst_hours=options.timeout_hours + rules.overtime_hours,
            expected_hours=expected.hours,
            basis=expected.basis,
        ),
        shown=tuple(options.shown()),
        makes=((rules.job, "{job}"), ("folder", f"{connection.base_url}/jobs/{{job}}")),
        leaves_behind=(f"the trainer, checkpoints, logs and the model under {connection.base_url}/jobs/{{job}}",),
        attempt=attempt,
        notes=tuple(hardware_notes(connection, options.hardware, price, rules)),
    )


def plan_tune(
    connection: Connection,
    manifest: Manifest,
    options: TuneOptions,
    rules: TrainerRules,
    *,
    prices: PriceTable | None = None,
    epochs: int | None = None,
    attempt: int = 1,
) -> LaunchPlan:
    """The plan of one tuning job; its worst case is every trial running into its timeout. Nothing is asked of the
    service. Raises what `plan_custom` raises, and UsageError for impossible numbers of trials."""
    trial = options.trial
    rules.check_trials(options)
    rules.check_timeout(trial.timeout_hours)
    check_trainable(manifest)
    price = (prices or price_table(None, connection.provider.prices)).hardware(trial.hardware)
    expected = expected_run(trial.hardware, work_of(manifest, trial.epochs or epochs))
    one = min(expected.hours, trial.timeout_hours)
    return LaunchPlan(
        kind=JobKind.TUNE,
        connection=connection,
        manifest_hash=manifest.hash,
        request=options.request(),
        cost=cost_of(
            price,
            worst_hours=options.trials * (trial.timeout_hours + rules.overtime_hours),
            expected_hours=options.trials * one,
            basis=f"{options.trials} trials of {one:.2g} h, {expected.basis}",
        ),
        shown=(
            *trial.shown(),
            ("trials", f"{options.trials}, {options.parallel} at once, each at most {trial.timeout_hours:g} h"),
            ("maximises", METRIC),
            *((f"searches {space['id']}", _range(space)) for space in options.space),
        ),
        makes=((rules.tuning_job, "{job}"), ("folder", f"{connection.base_url}/jobs/{{job}}")),
        leaves_behind=(f"the trainer, logs and each trial's model under {connection.base_url}/jobs/{{job}}",),
        attempt=attempt,
        notes=tuple(hardware_notes(connection, trial.hardware, price, rules)),
    )


def hardware_notes(
    connection: Connection, hardware: Hardware, price: HourlyPrice, rules: TrainerRules
) -> Iterator[str]:
    """What a reader of a plan must know beside the price."""
    if hardware.spot:
        yield rules.spot
    region = price.at_most.region
    if region not in {None, connection.region}:
        yield f"the price is that of {region}; {connection.region} may cost more"


def _range(parameter: SpaceParameter) -> str:
    if parameter.get("values"):
        return f"one of {', '.join(str(value) for value in parameter['values'])}"
    scale = ", logarithmic" if parameter.get("scale") == "log" else ""
    return f"{parameter['low']:g} to {parameter['high']:g}{scale}"
