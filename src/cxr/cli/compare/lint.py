"""`cxr compare lint`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.options import Json, Quiet
from cxr.cli.out import Out
from cxr.errors import CheckFailed

VERDICTS = {True: "can be", False: "cannot be", None: "not decided"}


def lint_command(
    figures: Annotated[Path, typer.Argument(metavar="FIGURES", help="A TOML file of published figures.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check published figures for consistency: can any test set have given them?

    A percentage must be some count of its images at its rounding; precision, recall, F1, accuracy and AUC must come
    from one confusion matrix, which is told where only one fits. Exit code 5 when something cannot be.
    docs/figures.toml is an example.

    Example: cxr compare lint docs/figures.toml
    """
    from dataclasses import asdict

    from cxr.compare.figures.check import check_figures
    from cxr.compare.figures.document import read_figures

    out = Out(as_json, quiet)
    findings = check_figures(read_figures(figures))
    failed = [finding for finding in findings if finding.consistent is False]
    out.table(
        ("figures", "verdict", "because"),
        [(finding.name, VERDICTS[finding.consistent], finding.message) for finding in findings],
    )
    document = {"file": str(figures), "consistent": not failed, "findings": [asdict(finding) for finding in findings]}
    out.result("compare.lint", document)
    if failed:
        raise CheckFailed(
            f"{figures}: {len(failed):,} of {len(findings):,} cannot be, first {failed[0].name}: {failed[0].message}",
            hint="look the figures up where they were published: one of them is misprinted, or is of other images",
        )
