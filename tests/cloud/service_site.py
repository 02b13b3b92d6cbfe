"""A working folder with an emulator, an uploaded manifest and jobs: where `cxr cloud export | evaluate` is tested."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from PIL import Image

from cxr.cli.main import main
from cxr.cloud.connection import Connection, connect
from cxr.cloud.emulator.process import ensure_running, stop
from cxr.cloud.jobs.asking import refresh
from cxr.cloud.jobs.journal import Job, Journal
from cxr.cloud.jobs.waiting import poll
from cxr.cloud.uploading import destination_of, plan_manifest_upload, send_manifest
from cxr.cloud.vertex.automl import AutoMLOptions, plan_automl
from cxr.cloud.vertex.launches import launch_automl
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.scan.folder import scan
from cxr.settings import Settings

HERE = Path(__file__).parent
EXPORTER = f"{sys.executable} {HERE / 'tiny_exporter.py'}"
SCORER = f"{sys.executable} {HERE / 'emulator' / 'tiny_scorer.py'}"
LABELS = ("NORMAL", "PNEUMONIA")


@dataclass
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON on stdout."""
        return dict(json.loads(self.stdout))


@dataclass
class Site:
    """A working folder."""

    folder: Path
    settings: Settings
    connection: Connection
    manifest: Manifest

    @property
    def journal(self) -> Journal:
        return Journal(self.settings.journal_path)

    def cxr(self, *args: str) -> Ended:
        """A command on this site's jobs, in this process: the SDK is loaded once for all tests."""
        return self.plain(*args, "--state-dir", str(self.settings.state_dir))

    def plain(self, *args: str) -> Ended:
        """Any command."""
        out, err = io.StringIO(), io.StringIO()
        code = 0
        with _argv("cxr", *args), _inside(self.folder), redirect_stdout(out), redirect_stderr(err):
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Ended(code, out.getvalue(), err.getvalue())

    @contextmanager
    def faults(self, *rules: dict[str, Any]) -> Iterator[None]:
        """The emulator misbehaves inside the block."""
        url = f"{self.connection.endpoint}/_emulator/faults"
        assert requests.put(url, json={"rules": list(rules)}, timeout=120).status_code == 200
        try:
            yield
        finally:
            requests.delete(url, timeout=120)

    def automl(self, model_type: str = "mobile-versatile", budget_node_hours: float = 1) -> Job:
        """A finished AutoML job; the budget chooses what the tiny exporter does."""
        plan = plan_automl(self.connection, self.manifest, AutoMLOptions(model_type, budget_node_hours))
        job = launch_automl(self.journal, plan, self.manifest, on_step=lambda _: None).job
        return self.ended(job)

    def ended(self, job: Job) -> Job:
        """A job when it has ended."""
        journal = self.journal
        return poll(
            lambda: refresh(self.connection, journal, journal.find(job.id)),
            lambda now: now.finished,
            longest_pause_s=0.2,
        )

    def write_down(self, job: Job) -> Job:
        """Put a job into the journal as it is."""
        from dataclasses import asdict

        with self.settings.journal_path.open("a") as stream:
            stream.write(json.dumps(asdict(job)) + "\n")
        return job


@contextmanager
def open_site(folder: Path, **options: Any) -> Iterator[Site]:
    """A site whose emulator (tiny models, unless `options` say otherwise) is stopped at the end."""
    settings = Settings(state_dir=folder / ".cxr", bucket="cxr-tests")
    options = options or {"stand_in": EXPORTER, "scorer": SCORER, "max_running_jobs": 2}
    ensure_running(settings.emulator_dir, idle_exit_seconds=300, **options)
    try:
        draw(folder / "images")
        manifest = write_manifest(scan(folder / "images"), folder / "manifest.csv")
        connection = connect(settings)
        with TemporaryDirectory() as scratch:
            plan = plan_manifest_upload(destination_of(connection), manifest, Path(scratch) / "plan.jsonl")
            send_manifest(plan).require_complete("sent")
        yield Site(folder, replace(settings), connection, manifest)
    finally:
        stop(settings.emulator_dir)


def wait_until(holds: Callable[[], bool], seconds: float = 300) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def draw(folder: Path) -> None:
    """48 pictures in the Kaggle layout, no two alike, a patient each."""
    for split, count in (("train", 12), ("val", 4), ("test", 8)):
        for label in LABELS:
            for number in range(count):
                kind = "bacteria_" if label == "PNEUMONIA" else ""
                name = f"person{number}_{kind}{number}.png" if kind else f"IM-{number:04d}-0001.png"
                path = folder / split / label / name
                path.parent.mkdir(parents=True, exist_ok=True)
                level = 20 * number + (10 if kind else 0) + {"train": 0, "val": 3, "test": 6}[split]
                picture = Image.new("L", (40, 32), level % 256)
                picture.putpixel((number, 3), 255)
                picture.save(path)


@contextmanager
def _argv(*args: str) -> Iterator[None]:
    before, sys.argv = sys.argv, list(args)
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
