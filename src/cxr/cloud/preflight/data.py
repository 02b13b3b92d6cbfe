"""The manifest and its images in the bucket, by the rules that `cxr data check` has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cxr.cloud.preflight.findings import Finding, Level
from cxr.cloud.preflight.subject import Purpose
from cxr.cloud.preflight.survey import Survey
from cxr.cloud.uploading import missing_objects
from cxr.manifests.check import service_rules, split_rules
from cxr.manifests.check.nouns import Rule
from cxr.manifests.manifest import Manifest

#: Rule -> what it is to AutoML: what the service refuses is an error here, and only a warning where data is checked.
AUTOML_RULES: Final[Mapping[str, Level]] = {
    "train-split": Level.ERROR,
    "validation-split": Level.ERROR,
    "test-split": Level.ERROR,
    "label-missing-in-split": Level.WARNING,
    "vertex-label-spelling": Level.ERROR,
    "vertex-few-images": Level.ERROR,
    "vertex-totals": Level.ERROR,
    "vertex-format": Level.ERROR,
    "vertex-size": Level.ERROR,
    "vertex-imbalance": Level.WARNING,
}
#: The same to Autopilot, which gets the training and the validation images (AutoMLJobChannel: PNG and JPEG) and states
#: no least number of them.
AUTOPILOT_RULES: Final[Mapping[str, Level]] = {
    "train-split": Level.ERROR,
    "validation-split": Level.ERROR,
    "test-split": Level.WARNING,
    "label-missing-in-split": Level.WARNING,
    "sagemaker-format": Level.ERROR,
}
#: What a job of the own trainer needs: it reads what Vertex AI's import does not.
TRAINER_RULES: Final[Mapping[str, Level]] = {
    "train-split": Level.ERROR,
    "validation-split": Level.ERROR,
    "test-split": Level.WARNING,
    "label-missing-in-split": Level.WARNING,
}
_RULES: Final[tuple[Rule, ...]] = (*split_rules.RULES, *service_rules.RULES)
#: Rules by which a split that is there is merely small.
_SPLITS: Final = {"validation-split": "validation", "test-split": "test", "train-split": "train"}


def images(survey: Survey) -> Iterator[Finding]:
    """Every image of the manifest is in the bucket with its size and checksum; one listing."""
    manifest, where = survey.subject.manifest, survey.connection
    if manifest is None:
        yield no_manifest(survey, "images")
        return
    if survey.bucket.location is None:
        yield Finding(Level.SKIPPED, "images", "not looked at: the bucket is still to be made")
        return
    missing = missing_objects(where, manifest)
    used = int((manifest.frame["split"] != "").sum())
    if missing:
        words = f"{len(missing):,} of {used:,} images are not at {where.images_url} as they were scanned"
        said, path = f"{words}, the first is {missing[0]}", survey.subject.manifest_path
        yield Finding(Level.ERROR, "images", said, path, survey.upload_command)
        return
    yield Finding(Level.OK, "images", f"{used:,} images at {where.images_url}, each with its size and checksum")


def rules(survey: Survey, automl: Mapping[str, Level] = AUTOML_RULES) -> Iterator[Finding]:
    """Formats, sizes, labels, images a label and splits; `automl` is what the cloud's AutoML takes."""
    manifest = survey.subject.manifest
    if manifest is None:
        yield no_manifest(survey, "data")
        return
    levels = TRAINER_RULES if survey.subject.purpose in {Purpose.CUSTOM, Purpose.TUNE} else automl
    clean = True
    for rule in _RULES:
        if rule.id in levels:
            for finding in _found(rule, levels[rule.id], manifest, survey.subject.manifest_path):
                clean = False
                yield finding
    if clean:
        frame = manifest.frame
        splits = ", ".join(f"{len(manifest.split(name)):,} {name}" for name in ("train", "validation", "test"))
        largest = int(frame["size"].max()) / 1e6
        yield Finding(Level.OK, "data", f"{splits}; labels {', '.join(manifest.classes)}; largest {largest:,.1f} MB")


def _found(rule: Rule, level: Level, manifest: Manifest, path: str) -> Iterator[Finding]:
    split = _SPLITS.get(rule.id)
    if split and not manifest.split(split).empty:
        level = Level.WARNING  # there, and small
    for found in rule.findings(manifest):
        resource = ", ".join(found.examples) or path
        yield Finding(level, "data", f"{found.message} [{found.rule}]", resource, found.fix)


def no_manifest(survey: Survey, check: str) -> Finding:
    """What a check of the data says where there is none."""
    words = f"not looked at: there is no manifest {survey.subject.manifest_path}"
    return Finding(Level.SKIPPED, check, words, next="--manifest FILE, or cxr data scan DIR")
