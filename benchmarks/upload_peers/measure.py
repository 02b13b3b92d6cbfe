"""The measurements: every client against a new server, twice; and many small objects."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from upload_peers.files import Files, make_files
from upload_peers.install import Absent
from upload_peers.peers import OURS, Peer, google_peers
from upload_peers.running import NotMeasured, Usage, client_environment, run_client
from upload_peers.servers import Server, emulator, moto

SMALL_BYTES = 1000
SMALL_ON_DISK = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """One client's first run, and its second with nothing changed (None: not measured, `note` says why)."""

    client: str
    files: int
    size: int
    latency_ms: float
    first: Usage | None = None
    again: Usage | None = None
    note: str = ""
    to_s3: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """`objects` sent by this project's client, then planned once more when they are all there."""

    objects: int
    sent: Usage
    planned: Usage


@dataclass(frozen=True, slots=True)
class Found:
    """A peer that can be measured: the program (of Python clients the interpreter) and what it says it is."""

    peer: Peer
    program: str
    version: str


def find(peers: Iterable[Peer]) -> tuple[list[Found], dict[str, str]]:
    """The peers that can be measured, and why the others cannot."""
    found, absent = [], {}
    for peer in peers:
        try:
            program = peer.program()
            found.append(Found(peer, program, peer.version(program)))
        except Absent as reason:
            absent[peer.name] = str(reason)
    return found, absent


def measure_google(
    found: list[Found], files: Files, latency_ms: float, folder: Path, on_row: Callable[[Row], None]
) -> None:
    """All clients at one latency, each against an emulator of its own."""

    def server() -> AbstractContextManager[Server]:
        return emulator(folder / "state")

    for client in found:
        on_row(_measure(client, files, latency_ms, server))


def measure_amazon(found: list[Found], files: Files, folder: Path, on_row: Callable[[Row], None]) -> None:
    """All S3 clients, each against a moto of its own."""

    def server() -> AbstractContextManager[Server]:
        return moto(client_environment(folder))

    for client in found:
        on_row(_measure(client, files, 0, server, to_s3=True))


def _measure(
    client: Found,
    files: Files,
    latency_ms: float,
    server: Callable[[], AbstractContextManager[Server]],
    *,
    to_s3: bool = False,
) -> Row:
    peer = client.peer
    row = Row(peer.name, files.count, files.size, latency_ms, to_s3=to_s3)
    # What the one before has left to be written must not be written meanwhile.
    os.sync()
    try:
        with server() as running:
            if latency_ms:
                running.set_latency(latency_ms)
            first = run_client(peer.call(client.program, running.url, files, False), running, files)
            row = replace(row, first=first)
            if peer.repeats:
                again = run_client(peer.call(client.program, running.url, files, True), running, files)
                row = replace(row, again=again)
    except NotMeasured as reason:
        return replace(row, note=f"not measured: {reason}")
    return row


def measure_scale(counts: list[int], folder: Path, on_scale: Callable[[Scale], None]) -> None:
    """This project's client with ever more objects of 1 KB."""
    (ours,) = find(peer for peer in google_peers() if peer.name == OURS)[0]
    for count in counts:
        on_disk = min(count, SMALL_ON_DISK)
        files = make_files(folder, count, SMALL_BYTES, on_disk=on_disk)
        os.sync()
        with emulator(folder / "state") as server:
            call = ours.peer.call(ours.program, server.url, files, False)
            sent = run_client(replace(call, job={**call.job, "files_on_disk": on_disk}), server, files)
            planned = run_client(replace(call, job={**call.job, "plan_only": True}), server, files)
        shutil.rmtree(files.folder)
        on_scale(Scale(count, sent, planned))
