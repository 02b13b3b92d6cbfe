"""`cxr web`: the page that reads a chest X-ray in the browser."""

from __future__ import annotations

import typer

from cxr.cli.web import build, serve

app = typer.Typer(
    help="A static page that runs a model in the browser: build it, look at it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("build")(build.build_command)
app.command("serve")(serve.serve_command)
