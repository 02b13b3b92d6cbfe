"""A working folder on a cloud, with a small manifest uploaded: everything that the tests ask goes through the same
functions whichever cloud it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from provider_place import SOURCE, Cloud
from relay import lead_to

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.asking import refresh
from cxr.cloud.jobs.journal import Job, Journal
from cxr.cloud.jobs.launching import Launch
from cxr.cloud.jobs.seen import RUN_LABEL, Seen
from cxr.cloud.jobs.waiting import poll
from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.cloud.provider import HardwareWishes, LaunchOptions, Provider
from cxr.cloud.trainer.job import CustomOptions, TuneOptions
from cxr.cloud.uploading import ManifestUpload, destination_of, plan_manifest_upload, send_manifest
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import write_manifest
from cxr.settings import Settings

#: What the tests' container image makes of a seed; any other ends well.
FAILS, ENDLESS, SLOW, SAYS_ENVIRONMENT = 1001, 1002, 1003, 1004
SPACE = ({"id": "learning-rate", "kind": "double", "low": 0.0001, "high": 0.01, "scale": "log"},)
COMMAND_SECONDS = 400


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Site:
    """A working folder. `cloud` is None on a real account; `besides` are the sites that were made beside it."""

    folder: Path
    settings: Settings
    connection: Connection
    manifest: Manifest
    cloud: Cloud | None
    besides: list[Site] = field(default_factory=list)

    @property
    def provider(self) -> Provider:
        return self.connection.provider

    @property
    def journal(self) -> Journal:
        return Journal(self.settings.journal_path)

    def beside(self, name: str, **changes: str) -> Site:
        """A site with a journal of its own, at a prefix of its own unless another is named; its programs ask the same
        server."""
        connection = replace(self.connection, **{"prefix": f"{self.connection.prefix}-{name}", **changes})
        folder = self.folder / f"{name}-{uuid.uuid4().hex[:6]}"
        folder.mkdir()
        write_manifest(self.manifest, folder / "manifest.csv")
        settings = replace(self.settings, state_dir=folder / ".cxr")
        if self.cloud is not None:
            assert connection.endpoint is not None
            lead_to(connection.endpoint, self.cloud.state(self.settings), self.cloud.state(settings))
        made = Site(folder, settings, connection, self.manifest, self.cloud, self.besides)
        self.besides.append(made)
        return made

    def upload(self) -> ManifestUpload:
        """Send the manifest; the plan that was carried out."""
        with TemporaryDirectory() as scratch:
            path = Path(scratch) / "plan.jsonl"
            plan = plan_manifest_upload(destination_of(self.connection), self.manifest, path)
            if not plan.nothing_to_send:
                send_manifest(plan).require_complete("sent")
            return plan

    # Jobs

    def options(self, seed: int, **changes: Any) -> CustomOptions:
        """A training of one epoch on the cloud's usual machine."""
        wishes = HardwareWishes()
        hardware = self.provider.hardware(wishes)
        chosen = CustomOptions(
            "cnn5",
            hardware,
            epochs=1,
            seed=seed,
            image=self.provider.image(self.connection, hardware, wishes),
            engine=self.provider.engine(wishes),
        )
        return replace(chosen, **changes)

    def plan(self, options: CustomOptions, *, attempt: int = 1) -> LaunchPlan:
        return self.provider.plan_custom(self.connection, self.manifest, options, prices=None, attempt=attempt)

    def launch(self, seed: int, *, attempt: int = 1, journal: Journal | None = None) -> Launch:
        """Launch a training (or find it)."""
        options = self.options(seed)
        plan = self.plan(options, attempt=attempt)
        return self.provider.launch(journal or self.journal, plan, self.manifest, options, LaunchOptions())

    def launch_tuning(self, trials: int = 2) -> Launch:
        options = TuneOptions(self.options(7), SPACE, trials=trials, parallel=2)
        plan = self.provider.plan_tune(self.connection, self.manifest, options, prices=None)
        return self.provider.launch(self.journal, plan, self.manifest, options, LaunchOptions())

    def look(self, job: Job) -> Job:
        """The job as it is now."""
        return refresh(self.connection, self.journal, self.journal.find(job.id))

    def ended(self, job: Job) -> Job:
        """The job when it has ended."""
        return self.until(job, lambda now: now.finished)

    def until(self, job: Job, holds: Callable[[Job], bool]) -> Job:
        pause = 15.0 if self.connection.billed else 0.2
        return poll(lambda: self.look(job), holds, longest_pause_s=pause, timeout_s=3600 if self.cloud is None else 400)

    def served(self, run: str, kind: JobKind = JobKind.CUSTOM) -> list[Seen]:
        """The server's own truth: its jobs with the label of a run."""
        found = self.provider.labelled_jobs(self.connection, [kind])
        return [seen for _, seen in found if seen.labels.get(RUN_LABEL) == run]

    def is_writing(self, job: Job) -> bool:
        """Whether the job's program has said something."""
        return bool(self.provider.last_lines(self.connection, job, 1))

    # The command line

    def arguments(self, *words: str) -> list[str]:
        """A command of a process of its own."""
        return [sys.executable, "-m", "cxr", *words]

    def environment(self, **more: str) -> dict[str, str]:
        """Of such a process: where it works, and the sources under test."""
        where = self.connection
        here = {
            "CXR_ON": str(where.on),
            "CXR_REGION": where.region,
            "CXR_BUCKET": where.bucket,
            "CXR_PREFIX": where.prefix,
            "CXR_STATE_DIR": str(self.settings.state_dir),
            **({"CXR_PROJECT": where.project} if where.project else {}),
        }
        return {**os.environ, **here, "PYTHONPATH": str(SOURCE), **more}

    def cxr(self, *words: str, **more: str) -> Ended:
        """Run a command to its end, as a process of its own."""
        done = subprocess.run(
            self.arguments(*words),
            cwd=self.folder,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def begin(self, *words: str, **more: str) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        return subprocess.Popen(
            self.arguments(*words),
            cwd=self.folder,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    @contextmanager
    def quota_is_spent(self) -> Iterator[None]:
        """Trainings fail as they do where an account has no machines."""
        assert self.cloud is not None
        assert self.connection.endpoint is not None
        self.cloud.process.change_outcomes(self.connection.endpoint, self.cloud.quota_failure)
        try:
            yield
        finally:
            self.cloud.process.change_outcomes(self.connection.endpoint, self.cloud.no_outcomes)


def wait_until(holds: Callable[[], bool], seconds: float = 240) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
