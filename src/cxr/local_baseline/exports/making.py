"""From a plan to exports on disk, each a bundle of its own, written whole or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from cxr.bundle import Bundle, BundleInfo, Preprocessing, read_bundle, write_bundle
from cxr.errors import CxrError, Fault, first_line
from cxr.folders import replaced_folder
from cxr.local_baseline.exports.nouns import Format
from cxr.local_baseline.exports.plan import ExportRequest, PlannedExport, package_versions
from cxr.local_baseline.exports.process import export_in_own_process
from cxr.local_baseline.exports.representative import SEED, representative_images
from cxr.local_baseline.exports.source import Source
from cxr.local_baseline.images.preprocess import Pixels
from cxr.progress import Progress, Say

#: One label a line, in the order of the scores.
LABELS_FILE = "labels.txt"


@dataclass(frozen=True)
class Export:
    """What became of one format: its bundle, or the `failure`. `kept`: it was there already. `seconds` of making it."""

    format: Format
    folder: Path
    bundle: Bundle | None
    seconds: float
    kept: bool = False
    failure: CxrError | None = None


def make_exports(
    request: ExportRequest,
    planned: Sequence[PlannedExport],
    on_progress: Progress,
    say: Say = lambda line: None,
    on_export: Callable[[Export], None] = lambda done: None,
) -> tuple[Export, ...]:
    """Make what is not there yet, one format after the other; one that fails does not stop the others.

    `on_progress(done, total, note)` hears of formats, and of decoding; `on_export` of each one that is finished.
    """

    def representative() -> Pixels:
        assert request.manifest is not None  # checked by the plan
        contract, count = request.bundle.info.preprocessing, request.representative
        return representative_images(
            request.manifest, request.images, contract, count, request.cache_dir, on_progress, say
        )

    source = Source(request.bundle, representative)
    made = []
    for number, one in enumerate(planned):
        on_progress(number, len(planned), one.format.name)
        made.append(_made(request, one, source))
        on_export(made[-1])
    on_progress(len(planned), len(planned), "")
    return tuple(made)


def _made(request: ExportRequest, one: PlannedExport, source: Source) -> Export:
    if one.kept is not None:
        return Export(one.format, one.folder, one.kept, 0.0, kept=True)
    start = time.monotonic()
    try:
        with replaced_folder(one.folder) as folder:
            write_model(one.format, source, folder / one.format.model_path)
            labels = "".join(f"{label}\n" for label in request.bundle.info.classes)
            (folder / LABELS_FILE).write_text(labels, encoding="utf-8")
            write_bundle(folder, _described(request, one))
        bundle = read_bundle(one.folder, verify=False)
    except CxrError as error:
        if os.environ.get("CXR_DEBUG") == "1":
            raise
        return Export(one.format, one.folder, None, time.monotonic() - start, failure=error)
    return Export(one.format, one.folder, bundle, time.monotonic() - start)


def write_model(form: Format, source: Source, path: Path) -> None:
    """Write the model of a bundle in one format to `path`. Raises Fault when the converter cannot."""
    if form.own_process:
        export_in_own_process(source.bundle, form, path)
        return
    shipment = source.shipment(form)
    try:
        import_module(form.exporter).export(shipment, path)
    except CxrError:
        raise
    except Exception as error:  # converters raise whatever they like
        words = f"the converter to {form.name} failed: {first_line(error)}"
        raise Fault(words, hint="CXR_DEBUG=1 shows where") from error


def _described(request: ExportRequest, one: PlannedExport) -> BundleInfo:
    info, form = request.bundle.info, one.format
    provenance = {key: value for key, value in info.provenance.items() if key != "fingerprint"}
    provenance |= {
        "exported_from": request.bundle.hash,
        "exported_format": form.name,
        "export_fingerprint": one.fingerprint,
        "trained_with": dict(info.versions),
    }
    if form.needs_representative and request.manifest is not None:
        drawn = {"manifest": request.manifest.hash, "images": request.representative, "seed": SEED}
        provenance["representative"] = drawn
    return replace(
        info,
        name=f"{info.name}-{form.name}",
        format=form.model_format,
        model_path=form.model_path,
        preprocessing=_scaled_inside(info.preprocessing),
        calibration=info.calibration and replace(info.calibration, inside_model=True),
        provenance=provenance,
        versions=package_versions(form.packages),
        files=(),
    )


def _scaled_inside(contract: Preprocessing) -> Preprocessing:
    return replace(contract, scale_inside_model=True)
