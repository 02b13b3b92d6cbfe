"""Which of the same images two models call right: what McNemar's tests and the score interval of a share look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr.compare.metrics.confusion import Bools
from cxr.compare.statistics.mcnemar import ClusteredMcNemar, McNemar, mcnemar, mcnemar_over_patients
from cxr.compare.statistics.measures import Scored
from cxr.compare.statistics.paired_shares import PairedShares, paired_shares


@dataclass(frozen=True)
class PairedCalls:
    """Whether the model and the reference are right on each image [N] that a measure is the share of, and the images'
    patients, numbered."""

    right: Bools
    reference_right: Bools
    patient: NDArray[np.intp]

    def mcnemar(self) -> McNemar:
        """The test that takes images as independent."""
        return mcnemar(self.right, self.reference_right)

    def mcnemar_over_patients(self) -> ClusteredMcNemar:
        """The test that lets images of a patient resemble each other."""
        return mcnemar_over_patients(self.right, self.reference_right, self.patient)

    def shares(self) -> PairedShares | None:
        """What the two shares' score interval is made of; None without an image."""
        return paired_shares(self.right, self.reference_right, self.patient)


def paired_calls(model: Scored, reference: Scored, patient: NDArray[np.intp]) -> dict[str, PairedCalls]:
    """By measure: on all images (`accuracy`), on the positive class (`sensitivity`) and on the others (`specificity`),
    where a call is right that tells the two apart: with more than two classes, the wrong one of the others is right
    enough for `specificity`. `patient` [N] numbers the images' patients."""
    positive = model.is_positive
    called, reference_called = model.called == model.positive, reference.called == reference.positive
    return {
        "accuracy": PairedCalls(model.called == model.truth, reference.called == reference.truth, patient),
        "sensitivity": PairedCalls(called[positive], reference_called[positive], patient[positive]),
        "specificity": PairedCalls(~called[~positive], ~reference_called[~positive], patient[~positive]),
    }
