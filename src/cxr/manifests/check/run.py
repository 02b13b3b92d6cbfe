"""All rules, run over a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from cxr.errors import InputError, UsageError
from cxr.manifests.check import label_rules, leaks, provenance, published, service_rules, split_rules
from cxr.manifests.check.looks import Looks
from cxr.manifests.check.nouns import SEVERITIES, CheckReport, Finding, Rule, Severity, counted, first_paths
from cxr.manifests.check.shortcuts import ShortcutProbe, probe_shortcuts
from cxr.manifests.manifest import Manifest
from cxr.manifests.scan.problems import SCAN_RULES

RULES: Final[tuple[Rule, ...]] = (
    *label_rules.RULES,
    *leaks.RULES,
    *split_rules.RULES,
    *service_rules.RULES,
    *published.RULES,
    *provenance.RULES,
)
#: Rule -> severity and fix, of the rules that need more than the manifest.
_AGAIN: Final = "copy the files back, or scan the folder again: cxr data scan DIR"
_OTHERS: Final[dict[str, tuple[Severity, str]]] = {
    "image-missing": ("error", _AGAIN),
    "image-changed": ("error", _AGAIN),
    "image-unreadable": ("error", _AGAIN),
    "shortcut": ("warning", "export all labels the same way (same size, format and quality), then scan again"),
    "shortcut-floor": ("note", "nothing to do: put the shortcuts' AUC beside every result"),
}
#: A file's outside that tells the label as well as this says how the images came to be, not what they show.
SUSPICIOUS_AUC: Final = 0.95


def check(manifest: Manifest, looks: Looks | None = None, *, accept: Iterable[str] = ()) -> CheckReport:
    """Run RULES over a manifest, add what the scan found and probe for shortcuts. Reads no image: what the images say
    is in `looks`, where they were looked at. Findings of the rules `accept` are marked as accepted.

    Raises InputError when the manifest has no rows, UsageError for a rule that cannot be accepted.
    """
    accepted = set(accept)
    check_acceptable(accepted)
    if manifest.frame.empty:
        raise InputError("the manifest has no images", hint="scan a folder: cxr data scan DIR")
    findings = [finding for rule in RULES for finding in rule.findings(manifest)]
    findings += provenance.scan_findings(manifest)
    findings += _findings_of_looks(looks) if looks else []
    shortcuts = probe_shortcuts(manifest, looks)
    findings += _findings_of_shortcuts(shortcuts) if shortcuts else []
    findings = [replace(one, accepted=one.rule in accepted) for one in findings]
    patients = manifest.frame.groupby(manifest.frame["split"].replace("", "unused"))["patient"].nunique()
    return CheckReport(
        counts=manifest.header.counts,
        patients={str(split): int(count) for split, count in patients.items()},
        overlaps=leaks.readings_of_test(manifest),
        findings=tuple(sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), one.accepted))),
        shortcuts=shortcuts,
    )


def check_acceptable(accept: Iterable[str]) -> None:
    """Raises UsageError for a rule that there is not, or whose findings are errors: those cannot be accepted."""
    severities = {rule.id: rule.severity for rule in RULES}
    severities |= {rule.id: rule.severity for rule in SCAN_RULES.values()}
    severities |= {rule: severity for rule, (severity, _) in _OTHERS.items()}
    choices = "choose from: " + ", ".join(sorted(rule for rule in severities if severities[rule] != "error"))
    for rule in accept:
        if rule not in severities:
            raise UsageError(f"there is no rule {rule!r} to accept", hint=choices)
        if severities[rule] == "error":
            raise UsageError(f"{rule!r} is an error: it cannot be accepted, only mended", hint=choices)


def _findings_of_looks(looks: Looks) -> Iterator[Finding]:
    """What is not any more as it was when it was scanned."""
    for rule, paths, words in (
        ("image-missing", looks.missing, "not in the folder any more"),
        ("image-changed", looks.changed, "of another size than when scanned"),
        ("image-unreadable", looks.unreadable, "cannot be decoded any more"),
    ):
        if paths:
            message = f"{counted(len(paths), 'image')} of {looks.tried:,} looked at: {words}"
            yield _finding(rule, message, first_paths(paths))


def _findings_of_shortcuts(probe: ShortcutProbe) -> Iterator[Finding]:
    for shortcut in probe.shortcuts:
        if shortcut.is_outside and shortcut.strongest >= SUSPICIOUS_AUC:
            yield _finding(
                "shortcut",
                f"the {shortcut.name} alone tells {probe.positive_class}, AUC {shortcut.figures}:"
                " that is how the files were made, not what the chests show",
            )
    if probe.sentence:
        yield _finding("shortcut-floor", probe.sentence)


def _finding(rule: str, message: str, examples: tuple[str, ...] = ()) -> Finding:
    severity, fix = _OTHERS[rule]
    return Finding(rule, severity, message, fix, examples)
