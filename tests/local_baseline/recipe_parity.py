"""Exports of a recipe's net held against it, by the comparison that `cxr export verify` makes, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxr.bundle import Bundle, ModelFormat, Preprocessing
from cxr.compare.parity.images import ImageSet, golden_set, split_set
from cxr.compare.parity.judging import Reference, judged, judged_reading
from cxr.compare.parity.nouns import FormatCheck
from cxr.compare.parity.process import read_files, score_pixels
from cxr.compare.parity.verify import RUNTIMES
from cxr.local_baseline.exports.encoded_saved_model import PIXELS_SIGNATURE
from cxr.local_baseline.exports.making import Export, make_exports
from cxr.local_baseline.exports.nouns import Format
from cxr.local_baseline.exports.plan import ExportRequest, plan_exports
from cxr.manifests.manifest import Manifest


def silent(done: int, total: int, note: str) -> None:
    """A progress callback that says nothing."""
    del done, total, note


def images_of(manifest: Manifest, split: str, contract: Preprocessing, cache_dir: Path) -> ImageSet:
    """All images of a split, as the contract wants them."""
    return split_set(manifest, split, contract, images=None, cache_dir=cache_dir, limit=1_000, on_progress=silent)


def exports_of(bundle: Bundle, manifest: Manifest, formats: Sequence[Format], cache_dir: Path) -> dict[str, Export]:
    """What became of each format. Converters run in this process: one start of TensorFlow is enough for all."""
    output = bundle.folder.with_name(f"{bundle.folder.name}-exports")
    here = tuple(replace(form, own_process=False) for form in formats)
    request = ExportRequest(bundle, here, output, cache_dir, manifest, str(manifest.root), representative=100)
    return {done.format.name: done for done in make_exports(request, plan_exports(request), silent)}


def reference_of(bundle: Bundle, test: ImageSet) -> Reference:
    """What the Keras model says of the golden images and of these."""
    golden = golden_set(bundle.info.preprocessing)
    return Reference(golden, test, score_pixels(bundle, np.concatenate([golden.pixels, test.pixels]), timed_runs=0))


def checks_of(form: Format, export: Bundle, reference: Reference) -> list[FormatCheck]:
    """The checks of one export: of a SavedModel from files, pixels first, and from pixels."""
    runtime = RUNTIMES[form.model_format]
    checks = [judged(form, export, runtime, reference, score_pixels(export, reference.pixels, timed_runs=0))]
    if form.model_format is ModelFormat.SAVED_MODEL:
        checks[0] = replace(checks[0], signature=PIXELS_SIGNATURE)
        reading = read_files(export, reference.files, timed_runs=0)
        by_bytes = judged_reading(form, export, runtime, reference, reading)
        checks.append(replace(by_bytes, signature="serving_default"))
    return checks
