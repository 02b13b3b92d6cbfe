"""The labels that all exported formats must agree on."""

from __future__ import annotations

from collections.abc import Mapping

from cxr.errors import CheckFailed, Fault
from cxr.importing.labels import Labels


def agreed_labels(found: Mapping[str, Labels]) -> Labels:
    """The labels that all places agree on, order included. Raises CheckFailed naming two that disagree, Fault when no
    file says anything."""
    if not found:
        raise Fault(
            "the exported files carry no labels", hint="export tf-js too, which has a dict.txt: --to tflite,tf-js"
        )
    (first, labels), *others = found.items()
    for place, theirs in others:
        if theirs != labels:
            raise CheckFailed(
                f"the exports disagree on the labels: {first} says {' '.join(labels)}, {place} says {' '.join(theirs)}",
                hint="export anew: --again",
            )
    return labels
