"""What is to be paid for: the region, the budget, the machines, their price and the quota for their GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cxr.cloud.preflight.costs import price_finding
from cxr.cloud.preflight.findings import Finding, Level, refused
from cxr.cloud.preflight.subject import Purpose, Subject
from cxr.cloud.vertex.automl import automl_options
from cxr.cloud.vertex.custom import RULES
from cxr.cloud.vertex.offers import AUTOML_REGIONS, ModelType
from cxr.cloud.vertex.preflight.refusals import reason_of
from cxr.cloud.vertex.preflight.survey import VERTEX, ProjectSurvey
from cxr.errors import NotAllowed, NotFound, UsageError

#: Accelerator of a machine -> as it is called in the ids of Vertex AI's quotas, which end up in its own errors.
QUOTA_NAMES: Final[Mapping[str, str]] = {
    "NVIDIA_L4": "L4",
    "NVIDIA_TESLA_T4": "T4",
    "NVIDIA_TESLA_V100": "V100",
    "NVIDIA_TESLA_P100": "P100",
    "NVIDIA_TESLA_A100": "A100",
    "NVIDIA_A100_80GB": "A10080GB",
    "NVIDIA_H100_80GB": "H100",
}


def region(survey: ProjectSurvey) -> Iterator[Finding]:
    """AutoML image is offered in the region."""
    here, purpose = survey.connection.region, survey.subject.purpose
    if here in AUTOML_REGIONS or purpose in {Purpose.CUSTOM, Purpose.TUNE}:
        yield Finding(Level.OK, "region", here)
        return
    level = Level.ERROR if purpose is Purpose.AUTOML else Level.WARNING
    yield Finding(
        level, "region", f"AutoML image is not offered in {here}", next=f"--region {' or '.join(AUTOML_REGIONS)}"
    )


def budget(survey: ProjectSurvey) -> Iterator[Finding]:
    """The budget is within the model type's range."""
    options = automl_options(survey.subject.automl)
    options.request()
    yield Finding(Level.OK, "budget", f"{options.budget_node_hours:g} node hours for {options.model_type}")


def machine(survey: ProjectSurvey) -> Iterator[Finding]:
    """The machine type is known, the accelerators go with it, and so many trials can be asked for."""
    subject = survey.subject
    words = survey.hardware.words
    if subject.purpose is Purpose.TUNE:
        most = min(subject.trials, RULES.maximum_parallel)
        if not 1 <= subject.parallel <= most or subject.trials > RULES.maximum_trials:
            raise UsageError(
                f"{subject.parallel} of {subject.trials} trials at once: at most {RULES.maximum_trials:,} trials, "
                f"{RULES.maximum_parallel} at once, and not more than there are",
                hint="--trials and --parallel",
            )
        words += f"; {subject.trials} trials, {subject.parallel} at once"
    yield Finding(Level.OK, "machine", words)


def price(survey: ProjectSurvey) -> Iterator[Finding]:
    """What it costs at most is known."""
    subject = survey.subject
    table = survey.prices
    if subject.purpose is Purpose.AUTOML:
        hourly = table.automl(ModelType(automl_options(subject.automl).model_type))
    else:
        RULES.check_timeout(subject.timeout_hours)
        hourly = table.hardware(survey.hardware)
    yield price_finding(hourly.at_most, _worst_hours(subject), survey.connection.region)


def _worst_hours(subject: Subject) -> float:
    """Hours that are paid for at most: node hours, or those of all trials."""
    if subject.purpose is Purpose.AUTOML:
        return automl_options(subject.automl).budget_node_hours
    return subject.trials * subject.timeout_hours


def quota(survey: ProjectSurvey) -> Iterator[Finding]:
    """The region's quota has room for all GPUs at once; what other jobs use of it is not looked at."""
    where, hardware = survey.connection, survey.hardware
    wanted = hardware.gpus * hardware.replicas * survey.subject.parallel
    if not wanted or hardware.accelerator is None:
        yield Finding(Level.OK, "quota", "no GPU is asked for")
        return
    name = QUOTA_NAMES.get(hardware.accelerator)
    if name is None:
        yield Finding(Level.WARNING, "quota", f"the quota of {hardware.accelerator} is not known to cxr", where.region)
        return
    quota_id = f"CustomModelTraining{'Preemptible' if hardware.spot else ''}{name}GPUsPerProjectPerRegion"
    resource = f"{quota_id}, {where.region}"
    try:
        limit = survey.quota(quota_id)
    except NotFound:
        yield Finding(Level.WARNING, "quota", "cannot be checked: Google knows no such quota", resource)
        return
    except NotAllowed as error:
        yield refused("quota", error, reason_of(error, where.project), essential=False)
        return
    enough = limit is not None and (limit < 0 or limit >= wanted)
    words = f"{wanted} x {hardware.accelerator} wanted, the quota is {'no limit' if limit == -1 else limit or 0}"
    yield Finding(
        Level.OK if enough else Level.ERROR, "quota", words, resource, "" if enough else _more(survey, quota_id, wanted)
    )


def _more(survey: ProjectSurvey, quota_id: str, wanted: int) -> str:
    where = survey.connection
    return (
        f"gcloud beta quotas preferences create --service={VERTEX} --project={where.project}"
        f" --quota-id={quota_id} --dimensions=region={where.region} --preferred-value={wanted}"
    )
