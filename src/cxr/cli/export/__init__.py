"""`cxr export`: a bundle in other formats."""

from __future__ import annotations

import typer

from cxr.cli.default_group import DefaultCommand, DefaultGroup
from cxr.cli.export import bundle, import_model, verify

app = typer.Typer(cls=DefaultGroup, help="Write a bundle's model in other formats.", rich_markup_mode=None)
app.command(DefaultGroup.DEFAULT, cls=DefaultCommand, hidden=True, no_args_is_help=True)(bundle.export_command)
app.command("verify")(verify.verify_command)
app.command("import")(import_model.import_command)
