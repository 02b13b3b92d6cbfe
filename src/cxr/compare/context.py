"""What stands beside a model's figures: the floors that it does not clear, its subgroups, what it took to make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cxr.compare.deployments import deployments_of
from cxr.compare.effort import effort_of
from cxr.compare.nouns import Row
from cxr.compare.statistics.estimates import Draws
from cxr.compare.statistics.measures import Scored
from cxr.compare.subgroups.groups import Group
from cxr.compare.subgroups.judge import judge_groups

#: With more images than this, subgroups are resampled less often, in proportion: their intervals are narrow then.
MOST_IMAGES, LEAST_DRAWS = 50_000, 200


def with_context(row: Row, cases: Scored, floors: Sequence[Row], groups: Sequence[Group], draws: Draws) -> Row:
    """The model's row with all that is said beside its figures. Subgroups are judged by its own calls, of the positive
    class against the rest."""
    if row.bundle is None:
        return row
    judged = judge_groups(
        groups,
        is_positive=cases.is_positive,
        score=cases.score,
        called=np.asarray(cases.called == cases.positive, dtype=np.bool_),
        patients=cases.patients,
        draws=group_draws(draws, len(cases.truth)),
    )
    return replace(
        row,
        floors_not_cleared=floors_not_cleared(row, floors),
        groups=judged,
        effort=effort_of(row.bundle),
        deployments=deployments_of(row.bundle),
    )


def floors_not_cleared(model: Row, floors: Sequence[Row]) -> tuple[str, ...]:
    """Names of the floors whose AUC the lower end of the model's interval does not exceed, the highest first. What is
    not defined clears nothing."""
    lower = model.metrics["auc"].low
    held = [floor for floor in floors if math.isnan(lower) or lower <= floor.metrics["auc"].value]
    return tuple(floor.name for floor in sorted(held, key=lambda floor: -floor.metrics["auc"].value))


def group_draws(draws: Draws, images: int) -> Draws:
    """How often subgroups of so many images are resampled."""
    count = draws.count if images <= MOST_IMAGES else draws.count * MOST_IMAGES // images
    return replace(draws, count=min(draws.count, max(LEAST_DRAWS, count)))
