"""Which floors a model does not clear."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cxr.compare.nouns import Row


def floors_not_cleared(model: Row, floors: Sequence[Row]) -> tuple[str, ...]:
    """Names of the floors whose AUC the lower end of the model's interval does not exceed, the highest first. What is
    not defined clears nothing."""
    lower = model.metrics["auc"].low
    held = [floor for floor in floors if math.isnan(lower) or lower <= floor.metrics["auc"].value]
    return tuple(floor.name for floor in sorted(held, key=lambda floor: -floor.metrics["auc"].value))
