"""Scripted failures and preemptions of jobs that run.

A preemption takes all replicas, unless the rule names one: then only that one is restarted and the others go on, as
the service does without `restartJobOnWorkerRestart`. `disableRetries` makes of each preemption a failure.
Source: google.cloud.aiplatform.v1.Scheduling.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from cxr.cloud.emulator.errors import Code, RpcError, invalid_argument
from cxr.cloud.emulator.jobs import attempts, outcomes
from cxr.cloud.emulator.jobs.attempts import Launch
from cxr.cloud.emulator.jobs.outcomes import Script
from cxr.cloud.emulator.jobs.runner import LAUNCH
from cxr.cloud.emulator.state.database import Database
from cxr.cloud.emulator.storage_api.listing import successor

#: Written before the processes are told: a server that dies in between knows what their end means.
PREEMPTED = "preempted"


class Interruptions:
    """What is to go wrong with running jobs, by their scripts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def scripted(self, name: str, what: Launch) -> Launch:
        """The launch, with the restart of one replica when only that one is to be preempted.

        Raises 400 when the job has no such replica.
        """
        script = self._script(name)
        if script is None or not script.preempts or script.replica is None:
            return what
        if script.replica not in {what.task, *(other.task for other in what.others)}:
            raise invalid_argument(f"The outcome's replica {script.replica!r} is not one of the job.")
        if self._takes_all(name, script):
            return what
        return replace(
            what, interruption={"task": script.replica, "seconds": script.seconds or 0.0, "count": script.count}
        )

    def is_due(self, name: str, folder: Path) -> bool:
        """Whether a running attempt is to be ended now (or is being ended already)."""
        if (folder / PREEMPTED).exists():
            return True
        script = self._script(name)
        if script is None:
            return False
        elapsed = attempts.running_seconds(folder)
        if script.outcome == "fail":
            return script.is_due(elapsed)
        if not script.preempts or not self._takes_all(name, script) or not script.is_due(elapsed):
            return False
        if script.checkpoints and self._checkpoints(name, folder) < script.checkpoints:
            return False
        (folder / PREEMPTED).touch()
        return True

    def failure(self, name: str) -> RpcError | None:
        """How a job ends that is to fail, also when it ends before that; None when it is not to fail."""
        script = self._script(name)
        return script.error if script is not None and script.outcome == "fail" else None

    def was_preempted(self, folder: Path) -> bool:
        """Whether an attempt was ended from outside."""
        return (folder / PREEMPTED).exists()

    def after_preemption(self, name: str) -> RpcError | None:
        """Why a preempted job is not started again; None when it is."""
        script = self._script(name)
        restarts = script.preempted if script is not None else 0
        if self._scheduling(name).get("disableRetries"):
            return RpcError(Code.UNAVAILABLE, "The job was preempted, and retries are disabled.")
        if restarts >= outcomes.MAX_RESTARTS:
            return RpcError(Code.UNAVAILABLE, f"The job was preempted after {restarts} restarts.")
        return None

    def _script(self, name: str) -> Script | None:
        return outcomes.script_of(self._database.read, name)

    def _takes_all(self, name: str, script: Script) -> bool:
        scheduling = self._scheduling(name)
        whole = scheduling.get("restartJobOnWorkerRestart") or scheduling.get("disableRetries")
        return script.replica is None or bool(whole)

    def _scheduling(self, name: str) -> dict[str, Any]:
        return dict(self._spec(name).get("scheduling", {}))

    def _spec(self, name: str) -> dict[str, Any]:
        row = self._database.read.execute("SELECT body FROM resources WHERE name=?", (name,)).fetchone()
        return dict(json.loads(row["body"]).get("jobSpec", {})) if row else {}

    def _checkpoints(self, name: str, folder: Path) -> int:
        """Objects that were written below the job's checkpoint folder since this attempt began."""
        prefix = self._spec(name).get("baseOutputDirectory", {}).get("outputUriPrefix", "").rstrip("/")
        bucket, _, base = prefix.removeprefix("gs://").partition("/")
        below = "/".join(part for part in (base, "checkpoints/") if part)
        since_us = int((folder / LAUNCH).stat().st_mtime * 1e6)
        row = self._database.read.execute(
            "SELECT COUNT(*) AS objects FROM objects WHERE bucket=? AND name>=? AND name<? AND created_us>=?",
            (bucket, below, successor(below), since_us),
        ).fetchone()
        return int(row["objects"])
