"""Whether Autopilot's model can be judged once it is there: that is found out before the training is paid for."""

from __future__ import annotations

from collections.abc import Iterator

from cxr.cloud.aws.sagemaker.transform import batch_of, content_type
from cxr.cloud.preflight.data import no_manifest
from cxr.cloud.preflight.findings import Finding, Level
from cxr.cloud.preflight.survey import Survey
from cxr.errors import InputError


def in_a_batch(survey: Survey) -> Iterator[Finding]:
    """One batch transform takes the test images. A warning: the training does not need them."""
    manifest = survey.subject.manifest
    if manifest is None:
        yield no_manifest(survey, "predictions")
        return
    try:
        pictures = batch_of(manifest)
    except InputError as error:
        said = f"the model could not be compared afterwards: {error.message}"
        yield Finding(Level.WARNING, "predictions", said, survey.subject.manifest_path, error.hint or "")
        return
    yield Finding(Level.OK, "predictions", f"{len(pictures):,} test images, all {content_type(pictures)}")
