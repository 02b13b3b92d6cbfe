"""What is to be paid for: the budget, the machines, their price and the quota."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cxr.cloud.aws.offers import DEFAULT_MAXIMUM_INSTANCES, DEFAULT_MAXIMUM_SECONDS, ML, Engine
from cxr.cloud.aws.preflight.refusals import reason_of
from cxr.cloud.aws.preflight.survey import AccountSurvey
from cxr.cloud.aws.prices import autopilot_price
from cxr.cloud.aws.quotas import training_quota_name
from cxr.cloud.aws.trainings import ENGINES
from cxr.cloud.preflight.costs import price_finding
from cxr.cloud.preflight.findings import Finding, Level, refused
from cxr.cloud.preflight.subject import Purpose
from cxr.cloud.trainer.plans import TrainerRules
from cxr.errors import InputError, NotAllowed, UsageError
from cxr.manifests.check.nouns import counted

QUOTAS_PAGE: Final = "https://console.aws.amazon.com/servicequotas/home/services/{service}/quotas"


def budget(survey: AccountSurvey) -> Iterator[Finding]:
    """Autopilot's run time is said, and within its range."""
    hours = _autopilot_hours(survey)
    yield Finding(Level.OK, "budget", f"{hours:g} h of Autopilot at most")


def machine(survey: AccountSurvey) -> Iterator[Finding]:
    """The machine type is known and offered in the region; so many of them, for so long, and so many trials can be
    asked for."""
    subject, hardware = survey.subject, survey.hardware
    words = hardware.words
    rules = ENGINES[survey.engine].rules
    rules.check_timeout(subject.timeout_hours)
    if subject.purpose is Purpose.TUNE:
        _check_trials(survey, rules)
        words += f"; {subject.trials} trials, {subject.parallel} at once"
    yield _offered(survey, words)
    if survey.engine is Engine.SAGEMAKER:
        raised = (
            "only an account whose quota was raised may do that: Service Quotas in the AWS console, Amazon SageMaker"
        )
        if subject.timeout_hours > DEFAULT_MAXIMUM_SECONDS / 3600:
            most = DEFAULT_MAXIMUM_SECONDS / 3600
            said = f"a timeout of {subject.timeout_hours:g} h is longer than {most:g} h"
            yield Finding(Level.WARNING, "machine", said, "longest run time for a training job", raised)
        if hardware.replicas > DEFAULT_MAXIMUM_INSTANCES:
            said = f"{hardware.replicas} instances are more than {DEFAULT_MAXIMUM_INSTANCES}"
            yield Finding(Level.WARNING, "machine", said, "instances per training job", raised)


def price(survey: AccountSurvey) -> Iterator[Finding]:
    """What it costs at most is known."""
    subject, here = survey.subject, survey.connection.region
    if subject.purpose is Purpose.AUTOML:
        yield price_finding(autopilot_price(survey.prices).at_most, _autopilot_hours(survey), here)
        return
    hours = subject.timeout_hours + ENGINES[survey.engine].rules.overtime_hours
    hours *= subject.trials if subject.purpose is Purpose.TUNE else 1
    yield price_finding(survey.prices.hardware(survey.hardware).at_most, hours, here)


def quota(survey: AccountSurvey) -> Iterator[Finding]:
    """The region's quota has room for all instances at once; what other jobs use of it is not looked at."""
    where, hardware = survey.connection, survey.hardware
    if not where.billed:
        yield Finding(Level.OK, "quota", "the server that stands for Amazon has none")
        return
    ec2 = survey.engine is Engine.EC2
    service, unit = ("ec2", "vCPU") if ec2 else ("sagemaker", "instance")
    more = f"ask for more at {QUOTAS_PAGE.format(service=service)}?region={where.region}, or another --machine"
    resource = f"{_quota_name(survey)}, {where.region}"
    limit = survey.quota
    if limit is None:
        words = "could not be read: Service Quotas tells none of that name"
        yield Finding(Level.WARNING, "quota", words, resource, more)
        return
    wanted = survey.machine_vcpus if ec2 else hardware.replicas * survey.subject.parallel
    enough, words = limit >= wanted, f"{counted(wanted, unit)} wanted, the quota is {limit:g}"
    yield Finding(Level.OK if enough else Level.ERROR, "quota", words, resource, "" if enough else more)


def _quota_name(survey: AccountSurvey) -> str:
    hardware = survey.hardware
    if survey.engine is Engine.SAGEMAKER:
        return training_quota_name(hardware.machine, hardware.spot)
    group = {"g": "G and VT", "p": "P"}.get(hardware.machine[:1], "Standard (A, C, D, H, I, M, R, T, Z)")
    return f"All {group} Spot Instance Requests" if hardware.spot else f"Running On-Demand {group} instances"


def _offered(survey: AccountSurvey, words: str) -> Finding:
    name, here = survey.hardware.machine.removeprefix(ML), survey.connection.region
    try:
        vcpus = survey.machine_vcpus
    except InputError as error:
        # No service tells SageMaker's types; without the type of EC2 there is none of SageMaker.
        said = f"EC2 has no machine type {name} in {here}"
        return Finding(Level.ERROR, "machine", said, error.message, "another --machine or --region")
    except NotAllowed as error:
        found = refused("machine", error, reason_of(error), essential=False)
        return Finding(Level.WARNING, "machine", f"{words}; whether {here} has it {found.cause}", next=found.next)
    return Finding(Level.OK, "machine", f"{words}; {vcpus} vCPUs, offered in {here}")


def _autopilot_hours(survey: AccountSurvey) -> float:
    options = survey.connection.provider.automl_options(survey.subject.automl)
    return float(options.request()["budget_hours"])


def _check_trials(survey: AccountSurvey, rules: TrainerRules) -> None:
    subject = survey.subject
    most = min(subject.trials, rules.maximum_parallel)
    if not 1 <= subject.parallel <= most or subject.trials > rules.maximum_trials:
        raise UsageError(
            f"{subject.parallel} of {subject.trials} trials at once: at most {rules.maximum_trials} trials, "
            f"{rules.maximum_parallel} at once, and not more than there are",
            hint="--trials and --parallel",
        )
