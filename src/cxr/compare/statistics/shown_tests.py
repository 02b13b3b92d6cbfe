"""Which test's p-value stands beside a difference, and what it is called wherever it is shown."""

from __future__ import annotations

from collections.abc import Mapping

#: Measure -> the test whose p-value stands beside its difference; the others have that of the resamples.
TEST_OF: Mapping[str, str] = {
    "auc": "delong_patients",
    "accuracy": "mcnemar_patients_accuracy",
    "sensitivity": "mcnemar_patients_sensitivity",
    "specificity": "mcnemar_patients_specificity",
}
RESAMPLES = "resamples of patients"


def title_of(test: str | None, *, clustered: bool = True) -> str:
    """A test's name for people (None: the resamples). Where no patient has several images (`clustered` is false) the
    tests over patients are the ones over images, and are called so."""
    if test is None:
        return RESAMPLES
    over_patients = "_patients" in test and clustered
    if test.startswith("delong"):
        return "DeLong over patients" if over_patients else "DeLong"
    return "exact McNemar over patients" if over_patients else "exact McNemar"
