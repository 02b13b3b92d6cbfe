"""Is this data fit to learn from, to be judged on, and to be sent to the cloud? All rules, run over a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cxr.errors import InputError
from cxr.manifests.manifest import Manifest
from cxr.manifests.patients import READINGS, Overlap, patient_of, patient_overlap
from cxr.manifests.problems import SCAN_RULES
from cxr.manifests.rules import RULES, Severity

#: Paths shown for one finding.
EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that fired: what was found, what to do, and up to EXAMPLES paths."""

    rule: str
    severity: Severity
    message: str
    fix: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Images by split and label ("unused" for none), patients by split, the patients of test that are also in train by
    each reading of the names (none where no name tells a patient), and what the rules found, errors first."""

    counts: dict[str, dict[str, int]]
    patients: dict[str, int]
    overlaps: tuple[Overlap, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make a result worthless or a service refuse the data."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def ok(self) -> bool:
        """Whether no error-level rule fired."""
        return not self.errors


def check(manifest: Manifest) -> CheckReport:
    """Run RULES over a manifest and add what the scan found. Reads no image.

    Raises InputError when the manifest has no rows.
    """
    if manifest.frame.empty:
        raise InputError("the manifest has no images", hint="scan a folder: cxr data scan DIR")
    findings = [
        Finding(rule.id, rule.severity, message, rule.fix, tuple(sorted(paths)[:EXAMPLES]))
        for rule in RULES
        for message, paths in rule.test(manifest)
    ]
    findings += _scan_findings(manifest)
    patients = manifest.frame.groupby(manifest.frame["split"].replace("", "unused"))["patient"].nunique()
    return CheckReport(
        counts=manifest.header.counts,
        patients={str(split): int(count) for split, count in patients.items()},
        overlaps=_overlaps(manifest),
        findings=tuple(sorted(findings, key=lambda finding: finding.severity)),
    )


def _overlaps(manifest: Manifest) -> tuple[Overlap, ...]:
    train, test = list(manifest.split("train")["path"]), list(manifest.split("test")["path"])
    if not any(patient_of(path).known for path in test):
        return ()
    return tuple(patient_overlap(train, test, reading, ("train", "test")) for reading in READINGS)


def _scan_findings(manifest: Manifest) -> Iterator[Finding]:
    """What the scan noted, one finding per rule."""
    by_rule: dict[str, list[tuple[str, str]]] = {}
    for found in manifest.header.problems:
        by_rule.setdefault(found.rule, []).append((found.path, found.message))
    for rule, places in by_rule.items():
        known = SCAN_RULES.get(rule)
        severity: Severity = known.severity if known else "warning"
        files = "1 file" if len(places) == 1 else f"{len(places):,} files"
        message = f"{files}: {places[0][1]}" if rule != "unknown-patient" else places[0][1]
        fix = known.fix if known else "scan the folder again: cxr data scan DIR"
        yield Finding(rule, severity, message, fix, tuple(path for path, _ in places[:EXAMPLES]))
