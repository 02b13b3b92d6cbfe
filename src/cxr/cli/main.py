"""The root of the command line. Nothing heavy is imported here: commands import what they need when they run."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from cxr.cli import baseline, cloud, compare, data, demo, doctor, emulator, export, web
from cxr.cli.out import Out, print_error
from cxr.errors import CxrError, Fault, Interrupted, NotAllowed, UsageError, missing_package
from cxr.extras import EXTRA_OF
from cxr.files import is_full
from cxr.version import __version__


class _Group(TyperGroup):
    """Turns Ctrl-C into the program's own exit code before Typer makes a plain abort of it."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("stopped by Ctrl-C", hint="run the same command again to go on") from None


app = typer.Typer(
    name="cxr",
    cls=_Group,
    epilog="Start with: cxr demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich costs 0.2 s of CPU on every --help
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.add_typer(data.app, name="data")
app.add_typer(cloud.app, name="cloud")
app.add_typer(baseline.app, name="baseline")
app.add_typer(export.app, name="export")
app.add_typer(compare.app, name="compare")
app.add_typer(web.app, name="web")
app.add_typer(emulator.app, name="emulator")


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="With --version: version, commit, Python and platform as one JSON document.")
    ] = False,
) -> None:
    """From a folder of chest X-rays to models judged on the same patients by the same ruler.

    Research use, not a medical device.

    Example: cxr demo"""
    if version:
        _tell_version(json)
        raise typer.Exit
    if json:
        raise UsageError("--json stands behind a command", hint="cxr --version --json, or cxr COMMAND --json")
    if ctx.invoked_subcommand is None:
        raise UsageError("no command was named", hint="cxr --help")


def _tell_version(json: bool) -> None:
    if not json:
        typer.echo(f"cxr {__version__}")
        return
    from cxr.about import about

    Out(json=True).result("version", about())


def main() -> None:
    """Run the command line; errors become one line, a hint and an exit code (a traceback only with CXR_DEBUG=1)."""
    try:
        _check_names()
        app()
    except CxrError as error:
        if os.environ.get("CXR_DEBUG") == "1":
            raise
        print_error(error)
        sys.exit(error.exit_code)
    except OSError as error:
        fault = _os_fault(error)
        _fail(fault, fault.exit_code, error)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package in {"", "cxr"}:
            raise
        missing = missing_package(package, EXTRA_OF.get(package, "all"))
        _fail(missing, missing.exit_code, error)
    except Exception as error:  # noqa: BLE001  (the last line of defence: a user never meets a bare traceback)
        said = f"{type(error).__name__}: {error}"
        _fail(Fault(f"this is a bug in cxr: {said}", hint="CXR_DEBUG=1 shows where; please report it"), 1, error)


def _check_names() -> None:
    """Raises UsageError for words that are no Unicode: what is named so can be written into no manifest or journal."""
    words = list(sys.argv[1:])
    with suppress(OSError):  # a folder that is gone is told by what needs it
        words.append(str(Path.cwd()))
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            shown = word.encode(errors="backslashreplace").decode()
            raise UsageError(f"{shown} is no name in UTF-8", hint="rename it, or use another folder") from None


def _os_fault(error: OSError) -> CxrError:
    said = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    if is_full(error):
        hint = "make room there (df shows which disk is full), then run the same command again"
        return Fault(said, hint=hint)
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return NotAllowed(said, hint="choose a place that can be written (temporary files: set TMPDIR)")
    return Fault(said)


def _fail(shown: CxrError, code: int, cause: Exception) -> None:
    if os.environ.get("CXR_DEBUG") == "1":
        raise cause
    print_error(shown)
    sys.exit(code)
