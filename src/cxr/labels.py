"""Class labels: which of them is thresholded."""

from __future__ import annotations

from collections.abc import Sequence


def positive_class(classes: Sequence[str]) -> str:
    """The class whose probability is thresholded: PNEUMONIA when there is one, else the last in order."""
    return "PNEUMONIA" if "PNEUMONIA" in classes else classes[-1]
