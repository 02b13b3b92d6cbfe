"""`cxr web serve`."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from cxr.about import RESEARCH_USE
from cxr.cli.options import Json, Quiet
from cxr.cli.out import Out

DEFAULT_PORT = 8080


def serve_command(
    page: Annotated[Path, typer.Argument(metavar="PAGE", help="A folder made by `cxr web build`.")] = Path("page"),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = DEFAULT_PORT,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Serve a page on this machine (loopback only) until Ctrl-C.

    Any other static server does as well; this one sends the headers that the page should have. Research use, not a
    medical device.

    Example: cxr web serve page --open
    """
    from cxr.webapp.page import read_page
    from cxr.webapp.serve import serving

    out = Out(as_json, quiet)
    name = read_page(page)["name"]
    with serving(page, port) as server:
        out.result("web.serve", {"page": str(page), "model": name, "url": server.url})
        out.text(server.url)
        out.say(f"{name} is served from {page} until Ctrl-C. {RESEARCH_USE}.")
        if show:
            import webbrowser

            webbrowser.open(server.url)
        _wait_for_a_signal()


def _wait_for_a_signal() -> None:
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    over.wait()
