"""A million objects in a bucket of the emulator, without a million files: its ghosts, whose bytes are made as they are
read (docs/emulator.md). Listing by Google's SDK and by this project's store, each in a process of its own; then the
commands that a user would give: scan of the bucket, upload with nothing to do, import into a dataset. Of each the
seconds, the client's peak memory, and what the server's grew to.

A million is also the most that a Vertex AI dataset takes; more are refused before anything is sent.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from cxr.cloud.emulator.process import ensure_running, stop
from harness.result import Better, Result, bound_of_value
from harness.script import Script, run_script
from harness.turns import seconds_of
from many_objects.bucket import BUCKET, PREFIX, PROJECT, dataset_items, fill, forget_peak, peak_mb
from upload_peers.files import Files
from upload_peers.peers import Call
from upload_peers.running import Usage, run_client
from upload_peers.servers import Server

OBJECTS, QUICK_OBJECTS = 1_000_000, 20_000
#: What a listing may add to the client's memory, whatever is listed; and what a command may take at a million rows.
FLAT_MB, COMMAND_GB = 20.0, 2.0
IDLE_EXIT_S, DEADLINE_S = 3600.0, 1800.0
SDK_PAGE, ASKED_PAGE, ASKED = 1000, 5000, 20_000


@dataclass(frozen=True, slots=True)
class Site:
    """A working folder with a server, and how many objects are in its bucket."""

    folder: Path
    server: Server
    objects: int

    @property
    def state(self) -> Path:
        """The server's folder."""
        return self.folder / ".cxr" / "emulator"

    def run(self, call: Call) -> tuple[Usage, float]:
        """Run a client or a command here; its usage and the server's peak memory meanwhile in MB."""
        files = Files(self.folder / "files", self.folder / "list", self.folder / "paths", 0, 0)
        files.paths.touch()
        forget_peak(self.state)
        environment = {"STORAGE_EMULATOR_HOST": self.server.url, "PYTHONUNBUFFERED": "1", **call.environment}
        usage = run_client(replace(call, environment=environment), self.server, files, deadline_s=DEADLINE_S)
        return usage, peak_mb(self.state)

    def cxr(self, *words: str) -> tuple[Usage, float]:
        """A command of the program in this folder."""
        return self.run(Call([sys.executable, "-m", "cxr", *words, "--quiet"]))


def measure(script: Script) -> None:
    """Fill the bucket, list it, then the commands one after another."""
    count = script.options.objects or (QUICK_OBJECTS if script.quick else OBJECTS)
    with tempfile.TemporaryDirectory(prefix="cxr-objects-") as name:
        folder = Path(name)
        state = folder / ".cxr" / "emulator"
        try:
            site = Site(folder, Server(ensure_running(state, idle_exit_seconds=IDLE_EXIT_S)), count)
            seconds = seconds_of(lambda: fill(site.server.url, count))
            note = f"the server's database and blobs: {_disk_mb(state):,.0f} MB"
            script.add(Result("objects made", "speed", count / seconds, "objects/s", Better.MORE, note=note))
            _listings(script, site)
            _commands(script, site)
        finally:
            stop(state, deadline_seconds=120)


def _listings(script: Script, site: Site) -> None:
    job = {"endpoint": site.server.url, "project": PROJECT, "bucket": BUCKET, "objects": site.objects}
    prefix = f"{PREFIX}/images"

    def listed(who: str, **options: object) -> tuple[Usage, float]:
        more = {**job, "prefix": prefix, "who": who, **options}
        return site.run(Call([sys.executable], "many_objects.client_listing", more))

    theirs, server_mb = listed("sdk", page_size=SDK_PAGE)
    asked, _ = listed("sdk", page_size=ASKED_PAGE, objects=min(ASKED, site.objects))
    ours, _ = listed("ours", page_size=0)
    name, peer = f"listing of {site.objects:,} objects", "google-cloud-storage, `list_blobs`"
    assert ours.counts
    assert asked.counts
    note = f"{ours.counts.lists:,} pages; server's peak memory {server_mb:,.0f} MB"
    script.add(Result(name, "time", ours.seconds, "s", peer=peer, peer_value=theirs.seconds, note=note))
    script.add(Result(name, "client's processor time", ours.cpu, "s", peer=peer, peer_value=theirs.cpu))
    goal = bound_of_value(FLAT_MB)
    measure = "peak memory beyond the imports"
    script.add(Result(name, measure, ours.beyond, "MB", peer=peer, peer_value=theirs.beyond, goal=goal))
    note = "the service, and so the emulator, gives no more than 1,000 a page"
    name = f"listing of {min(ASKED, site.objects):,} by the SDK, pages of {ASKED_PAGE:,} asked for"
    script.add(Result(name, "requests", asked.counts.lists, "", note=note))


def _commands(script: Script, site: Site) -> None:
    folder, manifest = site.folder, str(site.folder / "manifest.csv")
    (folder / "images").mkdir()
    where = ("--on", "emulator", "--project", PROJECT, "--bucket", BUCKET, "--prefix", PREFIX)
    here = ("--state-dir", str(folder / ".cxr"), "--manifest", manifest)
    upload = ("cloud", "upload", *where, *here, "--images", str(folder / "images"), "--yes")
    scan = ("data", "scan", f"gs://{BUCKET}/{PREFIX}/images", "--out", manifest)
    for title, words in (
        ("`cxr data scan gs://…`", scan),
        ("`cxr cloud upload`, images there already", upload),
        ("`cxr cloud upload` again, nothing to do", upload),
        ("`cxr cloud dataset`: import", ("cloud", "dataset", *where, *here, "--yes")),
    ):
        usage, server_mb = site.cxr(*words)
        name, note = f"{title}, {site.objects:,} images", f"server's peak memory {server_mb:,.0f} MB"
        assert usage.counts
        note += f"; {usage.counts.requests:,} requests, {usage.counts.received / 1e6:,.1f} MB sent"
        script.add(Result(name, "time", usage.seconds, "s", note=note))
        goal = bound_of_value(COMMAND_GB)
        script.add(Result(name, "client's peak memory", usage.peak / 1e3, "GB", goal=goal))
        script.add(Result(name, "server's peak memory", server_mb / 1e3, "GB", goal=goal))
    script.add(Result("images in the dataset", "number", dataset_items(site.server.url), "", Better.MORE))


def _disk_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--objects", type=int, help=f"how many ({OBJECTS:,})")


if __name__ == "__main__":
    packages = ("google-cloud-storage", "google-cloud-aiplatform")
    run_script(measure, file=__file__, description=__doc__, packages=packages, arguments=_arguments)
