"""Every export of a bundle against the bundle itself: golden images first, pixel by pixel where a runtime decodes by
itself, then a split of the manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cxr.bundle import Bundle, ModelFormat, read_bundle
from cxr.compare.parity.chromium import chromium, lacking_browser, read_in_chromium
from cxr.compare.parity.images import ImageSet, golden_set, split_set
from cxr.compare.parity.judging import Reference, judged, judged_reading
from cxr.compare.parity.layer_order import unfoldable
from cxr.compare.parity.nouns import FormatCheck, Runtime, Verdict, Verification
from cxr.compare.parity.process import read_in_own_process, score_in_own_process
from cxr.compare.ruler import check_manifest
from cxr.errors import CxrError, InputError, UsageError
from cxr.local_baseline.exports.encoded_saved_model import PIXELS_SIGNATURE
from cxr.local_baseline.exports.nouns import Format
from cxr.local_baseline.exports.registry import FORMATS
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress

RUNTIMES = {
    ModelFormat.SAVED_MODEL: Runtime.TENSORFLOW,
    ModelFormat.TFLITE: Runtime.LITERT,
    ModelFormat.ONNX: Runtime.ONNX,
    ModelFormat.TFJS: Runtime.NODE,
}
CANNOT_RUN = {ModelFormat.CORE_ML: "Core ML runs on Apple's systems only; its file was converted, and no more is known"}


@dataclass(frozen=True)
class VerifyRequest:
    """What is asked for. `exports` is the folder of the exports; without a manifest only golden images are scored.
    `limit`: the most images of the split. `allowed`: formats that may ship whatever they differ by. `in_browser`: run
    TF.js in Chromium too."""

    source: Bundle
    exports: Path
    cache_dir: Path
    manifest: Manifest | None = None
    split: str = "test"
    images: str | None = None
    limit: int = 1_000
    allowed: frozenset[str] = frozenset()
    in_browser: bool = True


def find_exports(source: Bundle, folder: Path) -> tuple[tuple[Format, Bundle], ...]:
    """The exports of a bundle in a folder, in the order of the registry. Raises InputError when there is none, or one
    was made from another bundle (or from this one before it changed)."""
    found = []
    for form in FORMATS.values():
        place = folder / form.name
        if not place.is_dir():
            continue
        export = read_bundle(place)
        if export.info.provenance.get("exported_from") != source.hash:
            raise InputError(
                f"{place} was not exported from {source.folder} as it is now",
                hint=f"make it anew: cxr export {source.folder} --to {form.name}",
            )
        found.append((form, export))
    if not found:
        raise InputError(f"there are no exports in {folder}", hint=f"make them: cxr export {source.folder} --to all")
    return tuple(found)


def verify(request: VerifyRequest, on_progress: Progress) -> Verification:
    """Score golden images and the split with every export, each in a process of its own. Raises InputError for exports
    that are missing or out of date."""
    exports = find_exports(request.source, request.exports)
    if request.manifest is not None:
        check_manifest(request.source, request.manifest)
    contract = request.source.info.preprocessing
    golden = golden_set(contract)
    split = None
    if request.manifest is not None:
        split = split_set(
            request.manifest, request.split, contract, images=request.images, cache_dir=request.cache_dir,
            limit=request.limit, on_progress=on_progress,
        )  # fmt: skip
    on_progress(0, len(exports), request.source.info.name)
    pixels = np.concatenate([golden.pixels, split.pixels]) if split else golden.pixels
    reference = Reference(golden, split, score_in_own_process(request.source, pixels))
    checks: list[FormatCheck] = []
    for number, (form, export) in enumerate(exports):
        on_progress(number, len(exports), form.name)
        found = _checks(request, form, export, reference)
        checks += [_with_leave(request, _explained(request, _limited(check))) for check in found]
    on_progress(len(exports), len(exports), "")
    return Verification(
        source=request.source,
        folder=request.exports,
        reference=reference.scores.cost,
        checks=tuple(checks),
        golden_images=len(golden),
        split=request.split if split else "",
        split_images=len(split) if split else 0,
        manifest_hash=request.manifest.hash if request.manifest else "",
        created=datetime.now(UTC),
        notes=_notes(request, exports, split),
    )


def _notes(request: VerifyRequest, exports: Sequence[tuple[Format, Bundle]], split: ImageSet | None) -> tuple[str, ...]:
    notes = []
    if request.manifest is None:
        notes.append("only golden images were scored: --manifest FILE adds its test images")
    elif split is not None and not split.files:
        notes.append("the images lie in a bucket: what decodes files by itself was held against golden images only")
    in_browser = any(form.model_format is ModelFormat.TFJS for form, _ in exports)
    if in_browser and not request.in_browser:
        notes.append("no browser was used: decoding and resizing in the page were not verified")
    elif in_browser and (missing := lacking_browser()):
        notes.append(f"there is no browser: decoding and resizing in the page were not verified; {missing}")
    return tuple(notes)


def _checks(request: VerifyRequest, form: Format, export: Bundle, reference: Reference) -> list[FormatCheck]:
    """One check of an export; of a SavedModel one for each way in; of a TF.js model two, where there is a browser."""
    if why := CANNOT_RUN.get(form.model_format):
        return [FormatCheck(form, export, None, Verdict.NOT_RUN, why=why)]
    runtime = RUNTIMES[form.model_format]
    checks = [_guarded(form, export, runtime, lambda: _in_process(form, export, runtime, reference))]
    if form.model_format is ModelFormat.SAVED_MODEL:
        by_bytes = _guarded(form, export, runtime, lambda: _by_bytes(form, export, runtime, reference))
        checks = [replace(by_bytes, signature="serving_default"), replace(checks[0], signature=PIXELS_SIGNATURE)]
    if form.model_format is ModelFormat.TFJS and request.in_browser and not lacking_browser():
        browser = Runtime.CHROMIUM
        checks.append(_guarded(form, export, browser, lambda: _in_browser(form, export, reference)))
    return checks


def _guarded(form: Format, export: Bundle, runtime: Runtime, run: Callable[[], FormatCheck]) -> FormatCheck:
    try:
        return run()
    except UsageError as error:  # a package or a built file that is not here
        why = f"{error.message}: {error.hint}" if error.hint else error.message
        return FormatCheck(form, export, runtime, Verdict.NOT_RUN, why=why)
    except CxrError as error:
        return FormatCheck(form, export, runtime, Verdict.FAILED, why=error.message)


def _in_process(form: Format, export: Bundle, runtime: Runtime, reference: Reference) -> FormatCheck:
    return judged(form, export, runtime, reference, score_in_own_process(export, reference.pixels))


def _by_bytes(form: Format, export: Bundle, runtime: Runtime, reference: Reference) -> FormatCheck:
    return judged_reading(form, export, runtime, reference, read_in_own_process(export, reference.files))


def _in_browser(form: Format, export: Bundle, reference: Reference) -> FormatCheck:
    with chromium() as browser:
        reading = read_in_chromium(browser, export, reference.files)
    return judged_reading(form, export, Runtime.CHROMIUM, reference, reading)


def _limited(check: FormatCheck) -> FormatCheck:
    """Without a split nothing is known of calls: that is not a full pass."""
    if check.verdict is Verdict.PASSED and check.split is None:
        return replace(check, verdict=Verdict.GOLDEN_ONLY)
    return check


def _explained(request: VerifyRequest, check: FormatCheck) -> FormatCheck:
    """With the reason where it is known: 8 bits need batch norm folded into convolutions."""
    if check.verdict is not Verdict.FAILED or not check.format.needs_representative:
        return check
    if (pair := unfoldable(request.source.model_path)) is None:
        return check
    order = f"its layer order: {pair[0]} follows the activation of {pair[1]}, so batch norm cannot be folded"
    return replace(check, why=f"{check.why}; {order}")


def _with_leave(request: VerifyRequest, check: FormatCheck) -> FormatCheck:
    if check.verdict is Verdict.FAILED and check.format.name in request.allowed:
        return replace(check, verdict=Verdict.ALLOWED)
    return check
