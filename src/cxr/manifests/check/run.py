"""All rules, run over a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cxr.errors import InputError
from cxr.manifests.check import label_rules, leaks, provenance, published, service_rules, split_rules
from cxr.manifests.check.looks import Looks
from cxr.manifests.check.nouns import SEVERITIES, CheckReport, Finding, Rule, counted, first_paths
from cxr.manifests.check.shortcuts import ShortcutProbe, probe_shortcuts
from cxr.manifests.manifest import Manifest

RULES: Final[tuple[Rule, ...]] = (
    *label_rules.RULES,
    *leaks.RULES,
    *split_rules.RULES,
    *service_rules.RULES,
    *published.RULES,
    *provenance.RULES,
)
#: A file's outside that tells the label as well as this says how the images came to be, not what they show.
SUSPICIOUS_AUC: Final = 0.95


def check(manifest: Manifest, looks: Looks | None = None) -> CheckReport:
    """Run RULES over a manifest, add what the scan found and probe for shortcuts. Reads no image: what the images say
    is in `looks`, where they were looked at.

    Raises InputError when the manifest has no rows.
    """
    if manifest.frame.empty:
        raise InputError("the manifest has no images", hint="scan a folder: cxr data scan DIR")
    findings = [finding for rule in RULES for finding in rule.findings(manifest)]
    findings += provenance.scan_findings(manifest)
    findings += _findings_of_looks(looks) if looks else []
    shortcuts = probe_shortcuts(manifest, looks)
    findings += _findings_of_shortcuts(shortcuts) if shortcuts else []
    patients = manifest.frame.groupby(manifest.frame["split"].replace("", "unused"))["patient"].nunique()
    return CheckReport(
        counts=manifest.header.counts,
        patients={str(split): int(count) for split, count in patients.items()},
        overlaps=leaks.readings_of_test(manifest),
        findings=tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))),
        shortcuts=shortcuts,
    )


def _findings_of_looks(looks: Looks) -> Iterator[Finding]:
    """What is not any more as it was when it was scanned."""
    again = "copy the files back, or scan the folder again: cxr data scan DIR"
    for rule, paths, words in (
        ("image-missing", looks.missing, "not in the folder any more"),
        ("image-changed", looks.changed, "of another size than when scanned"),
        ("image-unreadable", looks.unreadable, "cannot be decoded any more"),
    ):
        if paths:
            message = f"{counted(len(paths), 'image')} of {looks.tried:,} looked at: {words}"
            yield Finding(rule, "error", message, again, first_paths(paths))


def _findings_of_shortcuts(probe: ShortcutProbe) -> Iterator[Finding]:
    for shortcut in probe.shortcuts:
        if shortcut.is_outside and shortcut.auc >= SUSPICIOUS_AUC:
            yield Finding(
                "shortcut",
                "warning",
                f"the {shortcut.name} alone tells {probe.positive_class} with an AUC of {shortcut.auc:.3f}"
                f" ({shortcut.judged_on}): that is how the files were made, not what the chests show",
                "export all labels the same way (same size, format and quality), then scan again",
            )
    if probe.sentence:
        fix = "nothing to do: put the shortcuts' AUC beside every result"
        yield Finding("shortcut-floor", "note", probe.sentence, fix)
