"""What the commands of `cxr data` print alike."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cxr.cli.options import DEFAULT_MANIFEST
from cxr.cli.out import Out
from cxr.errors import UsageError

if TYPE_CHECKING:
    from cxr.manifests.check import CheckReport
    from cxr.manifests.manifest import Manifest, SplitPolicy


def print_counts(out: Out, manifest: Manifest, report: CheckReport | None = None) -> None:
    """Images by split and label; with a report the patients, too."""
    labels = manifest.classes
    columns = ["split", *labels, "all", *(["patients"] if report else [])]
    rows: list[list[object]] = []
    for split in ("train", "validation", "test", "unused"):
        counts = manifest.header.counts.get(split)
        if counts is None:
            continue
        row: list[object] = [split, *(counts.get(label, 0) for label in labels), sum(counts.values())]
        rows.append([*row, report.patients[split]] if report else row)
    out.table(columns, rows)


def summary(manifest: Manifest) -> dict[str, object]:
    """What --json says of every manifest."""
    header = manifest.header
    return {
        "manifest": str(manifest.location) if manifest.location else None,
        "hash": manifest.hash,
        "root": header.root,
        "images": header.images,
        "counts": header.counts,
        "patient_key": header.patient_key,
        "split_policy": policy_fields(header.split_policy),
    }


def manifest_flag(path: Path) -> str:
    """The flag for a hint: nothing for the default manifest."""
    return "" if path == DEFAULT_MANIFEST else f" --manifest {path}"


def policy_fields(policy: SplitPolicy) -> dict[str, object]:
    """A policy as --json says it: what does not belong to it is left out."""
    return {name: value for name, value in asdict(policy).items() if value is not None}


def check_not_manifest(target: Path, manifest_path: Path) -> None:
    """Raises UsageError when writing `target` would overwrite the manifest or what lies beside it."""
    from cxr.manifests.manifest_file import sidecar_of
    from cxr.manifests.scan.record import record_path_of

    for kept in (manifest_path, sidecar_of(manifest_path), record_path_of(manifest_path)):
        if target.resolve() == kept.resolve():
            raise UsageError(f"{target} would overwrite the manifest", hint="give another name")
