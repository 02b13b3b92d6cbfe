"""The trainings that Amazon runs, by kind and engine: how each is planned, restored and launched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cxr.cloud.aws.ec2 import engine as ec2
from cxr.cloud.aws.offers import Engine, choose_hardware
from cxr.cloud.aws.sagemaker import autopilot, custom, tuning
from cxr.cloud.aws.sagemaker.requests import check_role
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.estimates import Expectation
from cxr.cloud.jobs.journal import Journal
from cxr.cloud.jobs.launching import Launch, Submitted
from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.cloud.prices.table import PriceTable
from cxr.cloud.provider import JobOptions, LaunchOptions, options_as
from cxr.cloud.trainer import plans as trainer_plans
from cxr.cloud.trainer.job import CustomOptions, TuneOptions, options_from, tune_options_from
from cxr.cloud.trainer.launch import launch_trainer
from cxr.cloud.trainer.plans import TrainerRules
from cxr.errors import UsageError
from cxr.manifests.manifest import Manifest
from cxr.progress import Say


@dataclass(frozen=True, slots=True)
class EngineOf:
    """What an engine says of its jobs, and how one is submitted."""

    rules: TrainerRules
    check: Callable[[Connection], object]
    submit: Callable[..., Submitted]
    notes: Callable[[CustomOptions], tuple[str, ...]] = lambda _: ()
    rows: Callable[[Connection, CustomOptions], Iterable[tuple[str, str]]] = lambda _where, _options: ()


ENGINES: Mapping[str, EngineOf] = {
    Engine.SAGEMAKER: EngineOf(custom.RULES, check_role, custom.submit_custom),
    Engine.EC2: EngineOf(ec2.RULES, ec2.check_profile, ec2.submit, ec2.notes, ec2.rows),
}


def plan_custom(
    connection: Connection,
    manifest: Manifest,
    options: CustomOptions,
    *,
    prices: PriceTable | None = None,
    expectation: Expectation | None = None,
    epochs: int | None = None,
    attempt: int = 1,
) -> LaunchPlan:
    """As `trainer_plans.plan_custom`, by the rules of the engine. Raises UsageError when what it runs as is not set."""
    chosen = ENGINES[options.engine or Engine.SAGEMAKER]
    chosen.check(connection)
    plan = trainer_plans.plan_custom(
        connection,
        manifest,
        options,
        chosen.rules,
        prices=prices,
        expectation=expectation,
        epochs=epochs,
        attempt=attempt,
    )
    shown = (*plan.shown, *chosen.rows(connection, options))
    return replace(plan, shown=shown, notes=(*plan.notes, *chosen.notes(options)))


def plan_tune(
    connection: Connection,
    manifest: Manifest,
    options: TuneOptions,
    *,
    prices: PriceTable | None = None,
    epochs: int | None = None,
    attempt: int = 1,
) -> LaunchPlan:
    """As `trainer_plans.plan_tune`, by SageMaker's rules; trials are started by the toolkit of Amazon's own image."""
    check_role(connection)
    if options.trial.hardware.replicas > 1:
        raise UsageError("a trial runs on one machine", hint="leave --replicas out")
    return trainer_plans.plan_tune(
        connection, manifest, options, custom.RULES, prices=prices, epochs=epochs, attempt=attempt
    )


def restore(kind: JobKind, request: Mapping[str, Any], weights: str) -> JobOptions:
    """The options that a saved plan's request was made of. Raises InputError when it is not whole."""
    if kind is JobKind.AUTOML:
        return autopilot.autopilot_options_from(request)
    if kind is JobKind.TUNE:
        return tune_options_from(request, weights, choose_hardware, tuning.parameter_ranges)
    return options_from(request, weights, choose_hardware)


def launch(journal: Journal, plan: LaunchPlan, manifest: Manifest, options: JobOptions, how: LaunchOptions) -> Launch:
    """Check that the images are in the bucket, then launch."""
    return launch_trainer(journal, plan, manifest, _submit(plan, manifest, options, how.on_step), how.on_step)


def _submit(plan: LaunchPlan, manifest: Manifest, options: JobOptions, on_step: Say) -> Callable[[], Submitted]:
    if plan.kind is JobKind.AUTOML:
        return lambda: autopilot.submit_autopilot(plan, manifest, on_step=on_step)
    if plan.kind is JobKind.TUNE:
        study = options_as(TuneOptions, options)
        return lambda: tuning.submit_tune(plan, manifest, study, on_step=on_step)
    job = options_as(CustomOptions, options)
    return lambda: ENGINES[job.engine or Engine.SAGEMAKER].submit(plan, manifest, job, on_step=on_step)
