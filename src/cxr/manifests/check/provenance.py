"""Rules on how the manifest came to be: what the scan noted, and what it did not look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cxr.manifests.check.nouns import EXAMPLES, Finding, Hits, Rule
from cxr.manifests.manifest import Manifest, Severity
from cxr.manifests.scan.problems import SCAN_RULES

#: The scan says so, too, where it knows why.
_NEAR_DUPLICATES_UNKNOWN: Final = "near-duplicates-unknown"


def scan_findings(manifest: Manifest) -> Iterator[Finding]:
    """What the scan noted, one finding per rule. How severe a rule is, the present table says: that of the scan may
    have been another program's."""
    by_rule: dict[str, list[tuple[str, str]]] = {}
    severities: dict[str, Severity] = {}
    for found in manifest.header.problems:
        by_rule.setdefault(found.rule, []).append((found.path, found.message))
        severities.setdefault(found.rule, found.severity)
    for rule, places in by_rule.items():
        known = SCAN_RULES.get(rule)
        files = "1 file" if len(places) == 1 else f"{len(places):,} files"
        message = f"{files}: {places[0][1]}" if rule != "unknown-patient" else places[0][1]
        fix = known.fix if known else "scan the folder again: cxr data scan DIR"
        severity = known.severity if known else severities[rule]
        yield Finding(rule, severity, message, fix, tuple(path for path, _ in places[:EXAMPLES]))


def _from_listing(manifest: Manifest) -> Hits:
    if manifest.is_remote:
        yield f"made from the listing of {manifest.header.root}: no image was opened, none can be looked at here", ()


def _not_decoded(manifest: Manifest) -> Hits:
    if not manifest.header.decoded and not manifest.is_remote:
        yield "the images were not decoded when they were scanned: broken ones are not known", ()


def _near_duplicates_unknown(manifest: Manifest) -> Hits:
    told = any(found.rule == _NEAR_DUPLICATES_UNKNOWN for found in manifest.header.problems)
    if not manifest.header.near_duplicates and not told:
        yield "near-duplicates were not looked for: only images of equal bytes are known to be copies", ()


def _resealed(manifest: Manifest) -> Hits:
    if manifest.header.resealed:
        yield f"edited by hand, and accepted on {manifest.header.resealed}", ()


RULES: Final = (
    Rule("from-listing", "note", "to have them checked, scan the folder: cxr data scan DIR", _from_listing),
    Rule("not-decoded", "note", "scan again without --no-decode: cxr data scan DIR", _not_decoded),
    Rule(_NEAR_DUPLICATES_UNKNOWN, "note", "scan the folder again: cxr data scan DIR", _near_duplicates_unknown),
    Rule("resealed", "note", "nothing to do, as long as the edit was meant", _resealed),
)
