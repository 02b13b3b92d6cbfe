"""`cxr compare`: bundles on one manifest's test split, scores from elsewhere, and published figures checked."""

from __future__ import annotations

import typer

from cxr.cli.compare import bundles, import_scores, lint
from cxr.cli.default_group import DefaultCommand, DefaultGroup

app = typer.Typer(cls=DefaultGroup, help="Judge models on the same test patients.", rich_markup_mode=None)
app.command(DefaultGroup.DEFAULT, cls=DefaultCommand, hidden=True, no_args_is_help=False)(bundles.compare_command)
app.command("import")(import_scores.import_command)
app.command("lint")(lint.lint_command)
