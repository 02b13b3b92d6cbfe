"""`cxr emulator`: Google's storage and Vertex AI APIs on loopback, as a server of its own."""

from __future__ import annotations

import importlib
import json as json_module
import sys
from collections.abc import Set
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from cxr.cli.options import Json, Quiet
from cxr.cli.out import Out
from cxr.errors import UsageError, missing_package

app = typer.Typer(
    help="Google's storage and Vertex AI APIs on loopback: no account, no cost, nothing leaves this machine."
    "\n\nExample: cxr emulator start --detach",
    no_args_is_help=True,
)

#: Server of this machine -> the module that finds and ends it, and the setting that names its folder.
_SERVERS = {
    "emulator": ("cxr.cloud.emulator.process", "emulator_dir"),
    "aws-local": ("cxr.cloud.aws.local.process", "aws_local_dir"),
}
State = Annotated[
    Path | None, typer.Option("--state", help="Folder with all that the emulator keeps [default: .cxr/emulator].")
]


@app.command()
def start(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: the last one when free, otherwise any.")] = 0,
    state: State = None,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running in the background.")] = False,
    max_running_jobs: Annotated[int | None, typer.Option(min=1, help="More jobs than these wait.")] = None,
    quota_automl_jobs: Annotated[
        int | None, typer.Option(min=0, help="Refuse more AutoML jobs at a time; the service: 5 [default: no quota].")
    ] = None,
    quota_operations_per_minute: Annotated[
        int | None, typer.Option(min=0, help="Refuse more submissions a minute; the service: 60 [default: no quota].")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Start the emulator; Ctrl-C ends it, unless --detach.

    Example: cxr emulator start --port 9099 --detach
    """
    out = Out(json=json, quiet=quiet)
    folder = _folder(state)
    limits = {
        "max_running_jobs": max_running_jobs,
        "quota_automl_jobs": quota_automl_jobs,
        "quota_operations_per_minute": quota_operations_per_minute,
    }
    given = {name: value for name, value in limits.items() if value is not None}
    if detach:
        process = _module("cxr.cloud.emulator.process")
        url = process.ensure_running(folder, port=port, **given)
        _announce(out, url, folder)
        out.hint(f"cxr emulator stop --state {folder}")
        return
    _serve(out, folder, port, given)


@app.command()
def stop(
    state: State = None,
    on: Annotated[
        str, typer.Option("--on", help="emulator, or aws-local: moto's server, which forgets everything.")
    ] = "emulator",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Stop the emulator. Running jobs end and start again with it; everything else is kept.

    Example: cxr emulator stop
    """
    out = Out(json=json, quiet=quiet)
    if on not in _SERVERS:
        raise UsageError(f"{on!r} is no server of this machine", hint=f"choose one of: {', '.join(_SERVERS)}")
    module, setting = _SERVERS[on]
    folder = _folder(state, setting)
    stopped = _module(module).stop(folder)
    out.say(f"the server of {folder} has stopped" if stopped else f"no server runs on {folder}")
    out.result("emulator-stop", {"state": str(folder), "stopped": stopped})


@app.command()
def status(state: State = None, json: Json = False, quiet: Quiet = False) -> None:
    """Show whether the emulator runs, where, and how many jobs it has.

    Example: cxr emulator status --json
    """
    out = Out(json=json, quiet=quiet)
    folder = _folder(state)
    process = _module("cxr.cloud.emulator.process")
    url = process.running_url(folder)
    about = process.server_status(url) if url else None
    if about is None:
        out.say(f"no emulator runs on {folder}")
        out.hint("cxr emulator start --detach")
        out.result("emulator-status", {"running": False, "state": str(folder)})
        return
    jobs = about["jobs"]
    out.table(("url", "process", "jobs running", "jobs waiting"), [(url, str(about["pid"]), *_counts(jobs))])
    out.result("emulator-status", {"running": True, **about, "url": url})


@app.command()
def faults(
    latency_ms: Annotated[
        float | None, typer.Option("--latency-ms", min=0, help="Let every answer come so much later.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="JSON document with rules, as docs/emulator.md describes.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="No faults, no latency.")] = False,
    state: State = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what goes wrong on purpose in the running emulator, or change it; it lasts until the emulator ends.

    Example: cxr emulator faults --latency-ms 50
    """
    out = Out(json=json, quiet=quiet)
    folder = _folder(state)
    process = _module("cxr.cloud.emulator.process")
    url = process.running_url(folder)
    if url is None:
        raise UsageError(f"no emulator runs on {folder}", hint="cxr emulator start --detach")
    if clear and (file is not None or latency_ms is not None):
        raise UsageError("--clear stands alone", hint="cxr emulator faults --clear")
    document: dict[str, Any] | None = _document(file) if file is not None else {} if clear else None
    if latency_ms is not None:
        kept = [_without_count(rule) for rule in process.change_faults(url)["rules"]]
        document = {**(document if document is not None else {"rules": kept}), "latency_ms": latency_ms}
    about = process.change_faults(url, document)
    out.say(f"latency {about['latency_ms']:g} ms, {len(about['rules'])} rules")
    rows = [(rule["action"], _described(rule), str(rule["fired"])) for rule in about["rules"]]
    if rows:
        out.table(("action", "rule", "fired"), rows)
    out.result("emulator-faults", about)


@app.command()
def project(
    file: Annotated[
        Path | None,
        typer.Option("--file", help="JSON document with what is the matter, as docs/emulator.md describes."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Everything is there and allowed.")] = False,
    state: State = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what the running emulator's projects lack on purpose (APIs, quota, permissions), or change it; it is kept.

    Example: cxr emulator project --file project.json
    """
    out = Out(json=json, quiet=quiet)
    folder = _folder(state)
    process = _module("cxr.cloud.emulator.process")
    url = process.running_url(folder)
    if url is None:
        raise UsageError(f"no emulator runs on {folder}", hint="cxr emulator start --detach")
    if clear and file is not None:
        raise UsageError("--clear stands alone", hint="cxr emulator project --clear")
    document = _document(file) if file is not None else {} if clear else None
    about = process.change_project(url, document)
    out.table(("what", "value"), [(name, json_module.dumps(value)) for name, value in about.items()])
    out.result("emulator-project", about)


@app.command()
def outcomes(
    file: Annotated[
        Path | None, typer.Option("--file", help="JSON document with rules, as docs/emulator.md describes.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="No rules; jobs that are held by one go on.")] = False,
    state: State = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show how jobs of the running emulator are to end otherwise than they would, or change it; it is kept on disk.

    Example: cxr emulator outcomes --file preempted-twice.json
    """
    out = Out(json=json, quiet=quiet)
    folder = _folder(state)
    process = _module("cxr.cloud.emulator.process")
    url = process.running_url(folder)
    if url is None:
        raise UsageError(f"no emulator runs on {folder}", hint="cxr emulator start --detach")
    if clear and file is not None:
        raise UsageError("--clear stands alone", hint="cxr emulator outcomes --clear")
    if clear:
        about = process.clear_outcomes(url)
    else:
        about = process.change_outcomes(url, _document(file) if file is not None else None)
    out.say(f"{len(about['rules'])} rules")
    hidden = {"resource", "outcome", "fired"}
    rows = [
        (rule["resource"], rule["outcome"], _described(rule, hidden), str(rule["fired"])) for rule in about["rules"]
    ]
    if rows:
        out.table(("resource", "outcome", "rule", "fired"), rows)
    out.result("emulator-outcomes", about)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json_module.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="--file FILE") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}", hint="see docs/emulator.md") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path} is not a JSON object", hint="see docs/emulator.md")
    return document


def _without_count(rule: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if name != "fired"}


def _described(rule: dict[str, Any], hidden: Set[str] = frozenset({"action", "fired"})) -> str:
    shown = {name: value for name, value in rule.items() if name not in hidden}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _serve(out: Out, folder: Path, port: int, limits: dict[str, int]) -> None:
    settings = _module("cxr.cloud.emulator.settings").EmulatorSettings(state_dir=folder, port=port, **limits)
    _module("cxr.cloud.emulator.server").serve(settings, lambda url: _announce(out, url, folder))


def _announce(out: Out, url: str, folder: Path) -> None:
    process = _module("cxr.cloud.emulator.process")
    settings = _module("cxr.cloud.emulator.settings")
    out.text(url)
    out.say(f"state in {folder}; point the SDKs at it with")
    for line in process.environment_lines(url):
        out.say(f"  {line}")
    out.say("and in Python")
    for line in process.sdk_lines(url, settings.DEFAULT_PROJECT, settings.DEFAULT_REGION):
        out.say(f"  {line}")
    out.result("emulator-start", {"url": url, "state": str(folder), "environment": process.environment(url)})
    sys.stdout.flush()


def _counts(jobs: dict[str, int]) -> tuple[int, int]:
    return jobs["running"], jobs["waiting"]


def _folder(state: Path | None, setting: str = "emulator_dir") -> Path:
    if state is not None:
        return state
    folder: Path = getattr(_module("cxr.settings").load_settings(), setting)
    return folder


def _module(name: str) -> ModuleType:
    # The server's packages are an optional extra, and nothing heavy may load with the command line.
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "cxr":
            raise
        raise missing_package(error.name or name, "gcp") from None
