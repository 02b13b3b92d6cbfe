"""Every exported format is loaded and scores one image; what that says must be probabilities, and the same ones.

Who runs models is not this part's business: a `Scorer` is handed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from cxr.bundle import Bundle, BundleInfo
from cxr.cloud.exporting.formats import ExportFormat, preprocessing_of
from cxr.cloud.exporting.structure import broken, model_file
from cxr.errors import CheckFailed, InputError, MissingPackage
from cxr.importing.tflite_files import is_compiled

#: How far one image's probabilities may be from adding up to one: outputs in steps of 1/256 are rounded one by one.
SUM_TOLERANCE = 0.001
SUM_TOLERANCE_8_BIT = 0.02
#: How far two formats of one model may be apart on one image. 8-bit models are another model than the float one they
#: were made of: the difference is their quantisation.
AGREEMENT = 0.01
AGREEMENT_8_BIT = 0.15


class Scorer(Protocol):
    """Runs models."""

    def labels(self, saved_model: Path) -> tuple[str, ...]:
        """The labels that a SavedModel of the service gives with its scores, in their order. Raises MissingPackage when
        TensorFlow is not installed, InputError for a model that cannot be read."""

    def score(self, bundle: Bundle) -> Sequence[float]:
        """The probabilities of one image, in the order of the bundle's classes. Raises MissingPackage when the format's
        runtime is not installed, InputError for a model that cannot be loaded or gives something else."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was done with one format: the probabilities (None when it was not run) and a sentence."""

    format: str
    said: str
    probabilities: tuple[float, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """For bundle.json and --json."""
        scores = None if self.probabilities is None else [round(value, 6) for value in self.probabilities]
        return {"checked": self.said, "scores_of_one_image": scores}


def verify_formats(
    folder: Path, info: BundleInfo, formats: Sequence[ExportFormat], structure: Mapping[str, str], scorer: Scorer
) -> tuple[Verification, ...]:
    """Score one image with every format that can be run here; `structure` is what was told of each without running it.

    Raises CheckFailed for a model that cannot be loaded, gives no probabilities, or disagrees with another format.
    """
    done = tuple(_verify(folder, info, one, structure[one.name], scorer) for one in formats)
    _check_agreement(done, {one.name: one for one in formats})
    return done


def verify_bundle(bundle: Bundle, scorer: Scorer) -> Verification:
    """Score one image with a bundle that a training job wrote. Raises CheckFailed when it cannot be scored."""
    name = bundle.info.format.value
    try:
        scores = tuple(float(value) for value in scorer.score(bundle))
    except MissingPackage as error:
        return Verification(name, f"not run: {error.message}")
    except InputError as error:
        raise CheckFailed(
            f"the job's model cannot be scored: {error.message}", hint=error.hint or "train it again"
        ) from error
    off = abs(sum(scores) - 1)
    if not off <= SUM_TOLERANCE_8_BIT:
        raise CheckFailed(f"the job's model gives {_listed(scores)}, which add up to {sum(scores):.3f} and not to one")
    return Verification(name, "scored one image", scores)


def _verify(folder: Path, info: BundleInfo, one: ExportFormat, structure: str, scorer: Scorer) -> Verification:
    if one.scored_as is None:
        return Verification(one.name, structure)
    model = model_file(folder / one.name, one)
    if model.is_file() and is_compiled(model):
        return Verification(one.name, f"{structure}, not run")
    path, contract = model.relative_to(folder).as_posix(), preprocessing_of(one)
    as_this = replace(info, format=one.scored_as, model_path=path, preprocessing=contract)
    try:
        scores = tuple(float(value) for value in scorer.score(Bundle(folder, as_this)))
    except MissingPackage as error:
        return Verification(one.name, f"{structure}, not run: {error.message}")
    except InputError as error:
        raise broken(one, error.message) from error
    limit = SUM_TOLERANCE_8_BIT if one.eight_bit else SUM_TOLERANCE
    if not abs(sum(scores) - 1) <= limit:
        raise broken(one, f"it gives {_listed(scores)}, which add up to {sum(scores):.3f} and not to one")
    return Verification(one.name, f"{structure}, scored one image", scores)


def _check_agreement(done: Sequence[Verification], formats: Mapping[str, ExportFormat]) -> None:
    scored = [one for one in done if one.probabilities is not None]
    for index, left in enumerate(scored):
        for right in scored[index + 1 :]:
            eight_bit = formats[left.format].eight_bit or formats[right.format].eight_bit
            limit = AGREEMENT_8_BIT if eight_bit else AGREEMENT
            apart = max(abs(a - b) for a, b in zip(left.probabilities or (), right.probabilities or (), strict=True))
            if apart > limit:
                raise CheckFailed(
                    f"the exports disagree on one image: {left.format} gives {_listed(left.probabilities or ())}, "
                    f"{right.format} {_listed(right.probabilities or ())}; {limit:g} is allowed",
                    hint="export them anew: --again",
                )


def _listed(scores: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in scores)
