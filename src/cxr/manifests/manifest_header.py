"""The sidecar JSON of a manifest: its header as text, read back with every value checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, get_args

from cxr.documents import parse_json
from cxr.errors import InputError
from cxr.manifests.manifest import SCHEMA_VERSION, ManifestHeader, PolicyName, Problem, Severity, SplitPolicy

_SCAN_AGAIN: Final = "scan the folder again: cxr data scan DIR"
_HEADER_TYPES: Final[Mapping[str, type]] = {
    "root": str,
    "patient_key": str,
    "decoded": bool,
    "near_duplicates": bool,
    "content_hash": str,
    "rows_per_checksum": int,
    "row_checksums": str,
    "images": int,
    "counts": dict,
    "created": str,
    "resealed": str,
    "tool_version": str,
}


def header_text(header: ManifestHeader) -> str:
    """The sidecar's text."""
    return json.dumps(asdict(header), indent=2) + "\n"


def read_header(path: Path) -> ManifestHeader:
    """Read a sidecar. Raises InputError when it is absent, of another schema, or has a value that no header has."""
    try:
        raw: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no manifest {path}", hint="make one with: cxr data scan DIR") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}", hint=_SCAN_AGAIN) from error
    if not isinstance(raw, dict) or "schema_version" not in raw:
        raise InputError(f"{path} is not the header of a manifest", hint=_SCAN_AGAIN)
    if raw["schema_version"] != SCHEMA_VERSION:
        raise InputError(
            f"{path} is of schema version {raw['schema_version']!r}; this cxr reads version {SCHEMA_VERSION}",
            hint=_SCAN_AGAIN,
        )
    try:
        return _checked(raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not the header of a manifest: {error}", hint=_SCAN_AGAIN) from error


def _checked(raw: Mapping[str, Any]) -> ManifestHeader:
    for name, kind in _HEADER_TYPES.items():
        if not isinstance(raw[name], kind) or (kind is int and isinstance(raw[name], bool)):
            raise ValueError(f"{name} is {raw[name]!r}")
    if raw["rows_per_checksum"] < 1:
        raise ValueError("rows_per_checksum is less than 1")
    problems = tuple(_problem(found) for found in raw["problems"])
    return ManifestHeader(**{**raw, "split_policy": _policy(raw["split_policy"]), "problems": problems})


def _policy(raw: Mapping[str, Any]) -> SplitPolicy:
    policy = SplitPolicy(**raw)
    if policy.name not in get_args(PolicyName):
        raise ValueError(f"the split policy is {policy.name!r}")
    for name, kinds in (("validation", int | float), ("test", int | float), ("folds", int), ("seed", int)):
        value = getattr(policy, name)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise ValueError(f"the split policy's {name} is {value!r}")
    return policy


def _problem(raw: Mapping[str, Any]) -> Problem:
    problem = Problem(**raw)
    if problem.severity not in get_args(Severity):
        raise ValueError(f"a problem's severity is {problem.severity!r}")
    if not all(isinstance(text, str) for text in (problem.rule, problem.path, problem.message)):
        raise ValueError("a problem is not told in words")
    return problem
