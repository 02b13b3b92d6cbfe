"""Which exports of a bundle are to be made, and which are there already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cxr.bundle import Bundle, read_bundle
from cxr.errors import InputError, UsageError
from cxr.folders import check_own_files, check_replaceable
from cxr.local_baseline.exports.nouns import Format
from cxr.local_baseline.exports.representative import DEFAULT_IMAGES, SEED
from cxr.local_baseline.exports.source import check_exportable
from cxr.manifests.manifest import Manifest
from cxr.version import __version__

#: Raised whenever exporters write other files of the same bundle: exports before are made anew.
REVISION = 4
#: Import names that are published under another one.
PUBLISHED_AS = {"tensorflow": ("tensorflow-cpu", "tensorflow")}


@dataclass(frozen=True)
class ExportRequest:
    """What is asked for. `manifest`, `images` and `cache_dir` are where representative images come from (at most
    `representative` of the train split); `fresh` makes anew what is there."""

    bundle: Bundle
    formats: tuple[Format, ...]
    output: Path
    cache_dir: Path
    manifest: Manifest | None = None
    images: str = ""
    representative: int = DEFAULT_IMAGES
    fresh: bool = False


@dataclass(frozen=True)
class PlannedExport:
    """One format: where it goes, the fingerprint of what decides its bytes, and the bundle that is there already."""

    format: Format
    folder: Path
    fingerprint: str
    kept: Bundle | None


def plan_exports(request: ExportRequest) -> tuple[PlannedExport, ...]:
    """What `make_exports` will do. Raises InputError for a bundle that cannot be exported or 8-bit formats without a
    manifest, UsageError or NotAllowed for a place that cannot be written."""
    check_exportable(request.bundle)
    if request.representative < 1:
        raise UsageError(f"--representative {request.representative}: at least one image is needed")
    source = request.bundle.folder.resolve()
    if request.output.resolve().is_relative_to(source):
        raise UsageError(
            f"{request.output} is inside the bundle {request.bundle.folder}, which lists its own files",
            hint="choose a folder beside it with --out",
        )
    planned = tuple(_planned(request, form) for form in request.formats)
    missing = [one.format.name for one in planned if one.kept is None and one.format.needs_representative]
    if missing and request.manifest is None:
        raise InputError(
            f"{', '.join(missing)}: training images set the ranges of 8 bits, and there is no manifest",
            hint="name the one of the training: --manifest manifest.csv",
        )
    return planned


def _planned(request: ExportRequest, form: Format) -> PlannedExport:
    folder = request.output / form.name
    mark = fingerprint(request, form)
    kept = None if request.fresh else _finished(folder, mark)
    if kept is None:
        check_replaceable(folder)
        check_own_files(folder)
    return PlannedExport(form, folder, mark, kept)


def fingerprint(request: ExportRequest, form: Format) -> str:
    """sha256 (hex) of all that decides an export's bytes."""
    settings: dict[str, Any] = {
        "revision": REVISION,
        "source": request.bundle.hash,
        "format": form.name,
        "versions": package_versions(form.packages),
    }
    if form.needs_representative:
        manifest = request.manifest.hash if request.manifest else ""
        settings["representative"] = [manifest, request.representative, SEED]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def package_versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of cxr and of installed packages by their import names; nothing is imported."""
    found = {"cxr": __version__}
    for package in packages:
        for name in PUBLISHED_AS.get(package, (package,)):
            try:
                found[package] = version(name)
                break
            except PackageNotFoundError:
                continue
    return found


def _finished(folder: Path, mark: str) -> Bundle | None:
    try:
        bundle = read_bundle(folder)
    except InputError:
        return None
    return bundle if bundle.info.provenance.get("export_fingerprint") == mark else None
