"""Class labels: which of them is thresholded."""

from __future__ import annotations

from collections.abc import Sequence

#: Labels, in lower case and without separators, that say that there is nothing to find.
NEGATIVES = frozenset({"normal", "healthy", "negative", "nofinding", "nofindings", "clear", "control", "0"})


def positive_class(classes: Sequence[str]) -> str:
    """The class whose probability is thresholded: PNEUMONIA when there is one (in any case); else the last in order
    that does not say that there is nothing to find; else the last."""
    for name in classes:
        if name.lower() == "pneumonia":
            return name
    findings = [name for name in classes if _plain(name) not in NEGATIVES]
    return (findings or list(classes))[-1]


def task_of(classes: Sequence[str]) -> str:
    """What a bundle says that its model does: binary for two classes, else multiclass."""
    return "binary" if len(classes) == 2 else "multiclass"


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
