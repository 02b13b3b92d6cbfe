"""`verification.json`, beside the exports: what was found, for machines, and whether an export may be shipped."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cxr.bundle import Bundle
from cxr.compare.parity.nouns import SCHEMA, SCHEMA_VERSION, VERIFICATION_FILE, FormatCheck, Verdict, Verification
from cxr.compare.predictions.versions import installed_versions, machine
from cxr.compare.results.document import plain_values
from cxr.documents import parse_json
from cxr.errors import CheckFailed
from cxr.files import write_text_atomically


def write_verification(verification: Verification) -> Path:
    """Write verification.json into the folder of the exports."""
    path = verification.folder / VERIFICATION_FILE
    document = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **verification_document(verification)}
    write_text_atomically(path, json.dumps(plain_values(document), indent=2, allow_nan=False) + "\n")
    return path


def verification_document(verification: Verification) -> dict[str, Any]:
    """The verification as plain values: differences are of probabilities in 0..1, times in milliseconds, sizes in
    bytes, memory in megabytes."""
    return {
        "created": verification.created.isoformat(timespec="seconds"),
        "research_use_only": True,
        "source": {"name": verification.source.info.name, "hash": verification.source.hash},
        "reference_cost": asdict(verification.reference),
        "golden_images": verification.golden_images,
        "split": verification.split,
        "split_images": verification.split_images,
        "manifest_hash": verification.manifest_hash,
        "checks": [_check(check) for check in verification.checks],
        "notes": list(verification.notes),
        "versions": installed_versions(),
        "machine": machine(),
    }


def _check(check: FormatCheck) -> dict[str, Any]:
    return {
        "format": check.format.name,
        "hash": check.bundle.hash,
        "runtime": check.runtime.value if check.runtime else None,
        "signature": check.signature,
        "verdict": check.verdict.value,
        "why": check.why,
        "bytes": check.bundle.model_size_bytes,
        "tolerance": asdict(check.format.tolerance),
        "left_out": list(check.left_out),
        "pixels": asdict(check.pixels) if check.pixels else None,
        "golden": asdict(check.golden) if check.golden else None,
        "split": asdict(check.split) if check.split else None,
        "cost": asdict(check.cost) if check.cost else None,
    }


def check_shippable(export: Bundle) -> str:
    """What is known of an export's verification, in a sentence. Raises CheckFailed for one that failed it."""
    path = export.folder.parent / VERIFICATION_FILE
    name = export.info.provenance.get("exported_format", export.info.format.value)
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        checks = [check for check in document["checks"] if check["hash"] == export.hash]
    except (OSError, ValueError, KeyError, TypeError):
        checks = []
    if not checks:
        return f"{name} has not been verified against the model that it was exported from"
    failed = [check for check in checks if check["verdict"] == Verdict.FAILED.value]
    if failed:
        raise CheckFailed(
            f"{name} failed its verification ({failed[0]['why']}): it is not shipped",
            hint=f"to take it nevertheless: cxr export verify … --allow {name}",
        )
    verdicts = {check["verdict"] for check in checks}
    if Verdict.ALLOWED.value in verdicts:
        return f"{name} failed its verification, and is taken by leave of whoever ran it"
    ran = [check for check in checks if check["verdict"] != Verdict.NOT_RUN.value]
    if not ran:
        return f"{name} has not been verified: it could not be run"
    runtimes = ", ".join(dict.fromkeys(check["runtime"] for check in ran))
    images = min((check["split"] or {"images": 0})["images"] for check in ran)
    scored = f"{images:,} images of a split" if images else "golden images only"
    return f"{name} was verified in {runtimes}, on {scored}"
