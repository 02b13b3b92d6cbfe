"""Tasks: what a model is asked. Each is a view of the same manifest, with other labels and the same hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import pandas as pd

from cxr.errors import InputError, UsageError
from cxr.manifests.manifest import Manifest

NORMAL, PNEUMONIA, BACTERIAL, VIRAL = "NORMAL", "PNEUMONIA", "BACTERIAL", "VIRAL"
#: Paths shown of the images whose class a task cannot tell.
SHOWN_PATHS: Final = 3


class Task(StrEnum):
    """What `--task` takes; without it the labels are as they are."""

    BINARY = "binary"
    THREE_CLASS = "three-class"


@dataclass(frozen=True, slots=True)
class _Classes:
    """The classes of a task by label and etiology; `any` stands for any etiology, none included."""

    by_label: Mapping[tuple[str, str], str]

    def of(self, label: str, etiology: str) -> str | None:
        """The class, or None when the task cannot tell."""
        return self.by_label.get((label, etiology), self.by_label.get((label, "any")))


#: (label, etiology or any) -> class.
_TASKS: Final[Mapping[Task, _Classes]] = {
    Task.BINARY: _Classes(
        {
            (NORMAL, "any"): NORMAL,
            (PNEUMONIA, "any"): PNEUMONIA,
            (BACTERIAL, "any"): PNEUMONIA,
            (VIRAL, "any"): PNEUMONIA,
        }
    ),
    # A label that says one thing and a name that says another do not tell.
    Task.THREE_CLASS: _Classes(
        {
            (NORMAL, ""): NORMAL,
            (PNEUMONIA, "bacterial"): BACTERIAL,
            (PNEUMONIA, "viral"): VIRAL,
            (BACTERIAL, ""): BACTERIAL,
            (BACTERIAL, "bacterial"): BACTERIAL,
            (VIRAL, ""): VIRAL,
            (VIRAL, "viral"): VIRAL,
        }
    ),
}


def task_view(manifest: Manifest, task: str | None) -> Manifest:
    """The manifest as `task` sees it: the same rows under the same hash, other labels and counts.

    `binary`: NORMAL and PNEUMONIA (bacterial or viral). `three-class`: NORMAL, BACTERIAL and VIRAL, from the label and
    the etiology. None: the manifest itself. Folders in lower case are the same labels. A view is for reading: it is
    not a manifest file that could be written.

    Raises UsageError for an unknown task, InputError when the task cannot tell the class of an image.
    """
    if task is None:
        return manifest
    if task not in set(Task):
        raise UsageError(f"unknown task {task!r}", hint=f"choose one of: {', '.join(Task)}")
    classes = _TASKS[Task(task)]
    frame = manifest.frame
    pairs = frame[["label", "etiology"]].drop_duplicates()
    told = {
        (label, etiology): classes.of(label.upper(), etiology)
        for label, etiology in zip(pairs["label"], pairs["etiology"], strict=True)
    }
    untold = sorted(pair for pair, answer in told.items() if answer is None)
    if untold:
        raise _cannot_tell(manifest, Task(task), untold)
    labels = frame["label"].astype("object")
    for (label, etiology), answer in told.items():
        labels = labels.mask((frame["label"] == label) & (frame["etiology"] == etiology), answer)
    view = frame.assign(label=labels.astype(frame["label"].dtype))
    counts = {
        str(split or "unused"): {str(label): int(count) for label, count in rows.value_counts().sort_index().items()}
        for split, rows in view.groupby("split", sort=True)["label"]
    }
    return Manifest(view, replace(manifest.header, counts=counts), manifest.location)


def view_for(manifest: Manifest, classes: Sequence[str]) -> Manifest:
    """The manifest as a model of these classes sees it: itself when they are its labels, else the task's view whose
    labels they are. Itself, too, where no task has them: what that means is for the caller to say."""
    wanted = set(classes)
    if wanted == set(manifest.classes):
        return manifest
    for task in Task:
        if wanted == set(_TASKS[task].by_label.values()):
            return task_view(manifest, task)
    return manifest


def _cannot_tell(manifest: Manifest, task: Task, untold: list[tuple[str, str]]) -> InputError:
    frame = manifest.frame
    is_untold = pd.Series(False, index=frame.index)
    for label, etiology in untold:
        is_untold |= (frame["label"] == label) & (frame["etiology"] == etiology)
    rows = frame[is_untold]
    kinds = ", ".join(f"{label} ({etiology or 'no etiology'})" for label, etiology in untold)
    first = ", ".join(rows["path"].iloc[:SHOWN_PATHS])
    some = "1 image" if len(rows) == 1 else f"{len(rows):,} images"
    return InputError(
        f"the task {task} cannot tell the class of {some} labelled {kinds}; the first: {first}",
        hint=f"{task} knows {_known(task)}; leave --task out to take the labels as they are",
    )


def _known(task: Task) -> str:
    if task is Task.BINARY:
        return f"the labels {NORMAL}, {PNEUMONIA}, {BACTERIAL} and {VIRAL}"
    return f"the labels {NORMAL}, {BACTERIAL} and {VIRAL}, and {PNEUMONIA} where the file name tells the etiology"
