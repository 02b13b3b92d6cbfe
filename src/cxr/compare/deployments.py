"""A model's exports in their runtimes: size, latency and agreement, from the verification that lies beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cxr.bundle import Bundle
from cxr.compare.parity.nouns import SCHEMA, SCHEMA_VERSION, VERIFICATION_FILE
from cxr.documents import parse_json

#: Where `cxr export` writes by default: beside the bundle.
EXPORTS_SUFFIX = "-exports"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One export: its format, what ran it (a runtime, a browser), bytes of the model, median milliseconds for one image
    without decoding (None: not run), and `cxr export verify`'s verdict."""

    format: str
    runtime: str
    verdict: str
    size_bytes: int
    latency_ms: float | None


def deployments_of(bundle: Bundle) -> tuple[Deployment, ...]:
    """The exports that were verified against exactly this bundle; none where nothing lies beside it, or what lies there
    is of another bundle or cannot be read: it is beside the comparison, not part of it."""
    folder = bundle.folder.resolve()
    path = folder.parent / f"{folder.name}{EXPORTS_SUFFIX}" / VERIFICATION_FILE
    try:
        document: Any = parse_json(path.read_text(encoding="utf-8"))
        if (document["schema"], document["schema_version"]) != (SCHEMA, SCHEMA_VERSION):
            return ()
        if document["source"]["hash"] != bundle.hash:
            return ()
        return tuple(_deployment(check) for check in document["checks"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _deployment(check: dict[str, Any]) -> Deployment:
    return Deployment(
        format=str(check["format"]),
        runtime=str(check["runtime"] or ""),
        verdict=str(check["verdict"]),
        size_bytes=int(check["bytes"]),
        latency_ms=float(check["cost"]["median_ms"]) if check["cost"] else None,
    )
