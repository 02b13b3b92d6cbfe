"""`cxr web`: the page that reads a chest X-ray in the browser."""

from __future__ import annotations

import typer

from cxr.cli.web import build, package, serve

app = typer.Typer(
    help="A static page that runs a model in the browser: build it, look at it, pack it for a server."
    "\n\nExample: cxr web build runs/cnn5 page",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("build")(build.build_command)
app.command("serve")(serve.serve_command)
app.command("package")(package.package_command)
