"""The servers of this working folder that stand for a cloud: still running, hanging, or ended without a word."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from cxr.cloud.aws.local.process import AWS_LOCAL
from cxr.cloud.emulator.process import EMULATOR
from cxr.cloud.local_servers.process import LocalServer, ServerFiles, is_locked
from cxr.doctor.findings import Finding, Level
from cxr.doctor.subject import Subject
from cxr.documents import parse_json
from cxr.settings import Settings


def servers(subject: Subject) -> Iterator[Finding]:
    """Google's emulator and the server that stands for Amazon."""
    settings = Settings(state_dir=subject.folder / subject.state_dir)
    yield _server("emulator", EMULATOR, ServerFiles(settings.emulator_dir), "")
    yield _server("aws-local", AWS_LOCAL, ServerFiles(settings.aws_local_dir), " --on aws-local")


def _server(check: str, server: LocalServer, files: ServerFiles, on: str) -> Finding:
    stop = f"cxr emulator stop{on} --state {shlex.quote(str(files.state_dir))}"
    held = is_locked(files.lock_file)
    try:
        record = parse_json(files.server_file.read_text(encoding="utf-8"))
        pid, url = int(record["pid"]), str(record["url"])
    except FileNotFoundError:
        pid, url = 0, ""
    except (OSError, ValueError, KeyError, TypeError):
        return Finding(Level.PROBLEM, check, f"{files.server_file} cannot be read", f"rm {files.server_file}")
    if held and url and server.status(url) is not None:
        words = f"it runs at {url} (process {pid}); it ends by itself when idle"
        return Finding(Level.NOTE, check, words, stop, {"url": url, "pid": pid})
    if held:
        who = f"process {pid} holds" if pid else "a process holds"
        words = f"{who} {files.lock_file} and does not answer"
        return Finding(Level.PROBLEM, check, words, stop if pid else f"fuser {files.lock_file}", {"pid": pid})
    if url:
        words = f"it ended without cleaning up (process {pid}); what it kept is still there"
        return Finding(Level.NOTE, check, words, f"rm {shlex.quote(str(files.server_file))}", {"pid": pid})
    return Finding(Level.OK, check, "none runs here")
