"""What a comparison is asked beside the table: which model is the reference, and what counts as good enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr.bundle import Bundle, Origin
from cxr.compare.metrics.confusion import DECIDED
from cxr.compare.statistics.against_reference import DEFAULT_MARGIN, DEFAULT_MARGIN_MEASURE
from cxr.compare.statistics.measures import Asked
from cxr.errors import UsageError

#: Measures that a margin can be put on.
MARGIN_MEASURES = (*DECIDED, "auc", "average_precision", "brier", "log_loss", "calibration_error")
MANY_CLASSES_MEASURES = ("macro_auc", "macro_average_precision", "macro_f1")


@dataclass(frozen=True, slots=True)
class Question:
    """`reference`: a model's name or its bundle's folder (None: `default_reference` says which). `margin` on `measure`:
    how much worse than the reference is still as good. `prevalence` and `sensitivity` (0..1, None: not asked): see
    `Asked`."""

    reference: str | None = None
    margin: float = DEFAULT_MARGIN
    measure: str = DEFAULT_MARGIN_MEASURE
    prevalence: float | None = None
    sensitivity: float | None = None

    @property
    def asked(self) -> Asked:
        """What is measured for it."""
        return Asked(prevalence=self.prevalence, sensitivity=self.sensitivity, every_class=False)


def check_question(question: Question, classes: int) -> None:
    """Raises UsageError for a margin, measure, prevalence or sensitivity that makes no sense, before anything is
    scored."""
    if not 0 < question.margin < 1:
        raise UsageError(f"--margin {question.margin:g}: it is more than 0 and less than 1", hint="--margin 0.02")
    measures = MARGIN_MEASURES + (MANY_CLASSES_MEASURES if classes > 2 else ())
    if question.measure not in measures:
        raise UsageError(f"--margin-metric {question.measure}: there is no such measure", hint=", ".join(measures))
    for name, share in (("prevalence", question.prevalence), ("sensitivity", question.sensitivity)):
        if share is not None and not 0 < share < 1:
            raise UsageError(f"--{name} {share:g}: it is a share, more than 0 and less than 1", hint=f"--{name} 0.2")
    if question.sensitivity is not None and classes > 2:
        raise UsageError(
            f"--sensitivity: with {classes} classes the most probable one is called, and no threshold decides",
            hint="leave --sensitivity out",
        )


def reference_model(question: Question, bundles: Sequence[Bundle], names: Sequence[str]) -> tuple[int, str]:
    """Which of the models is the reference, and why. Raises UsageError when the asked one is none of them or
    several."""
    if question.reference is None:
        return default_reference(bundles)
    wanted = question.reference
    found = [
        number
        for number, (bundle, name) in enumerate(zip(bundles, names, strict=True))
        if wanted == name or Path(wanted).resolve() == bundle.folder.resolve()
    ] or [number for number, bundle in enumerate(bundles) if wanted in {bundle.info.name, bundle.folder.resolve().name}]
    if len(found) != 1:
        problem = "is none of the models" if not found else "is more than one of the models"
        raise UsageError(f"--reference {wanted} {problem}", hint=f"one of: {', '.join(names)}")
    return found[0], "asked for with --reference"


def default_reference(bundles: Sequence[Bundle]) -> tuple[int, str]:
    """The AutoML model (the service's own before the emulator's stand-in), for the question is what the others are
    worth beside it; else the first that was named. Never the best on the test split: who is chosen for its luck there
    makes all others look worse than they are."""
    automl = [number for number, bundle in enumerate(bundles) if bundle.info.origin is Origin.AUTOML]
    of_the_service = [number for number in automl if not bundles[number].info.stand_in]
    if of_the_service:
        return of_the_service[0], "the AutoML model"
    if automl:
        return automl[0], "the emulator's stand-in for the AutoML model"
    return 0, "the first one named"
