"""One training job, done for real: its data fetched, its command run on each of its hosts, its model stored.

All hosts are processes on this machine. Their names (algo-1 …) are in resourceconfig.json but do not resolve here, so
that a job with several hosts also gets TF_CONFIG, with ports of 127.0.0.1; the service sets none. Time spent waiting
for instances, which MaxWaitTimeInSeconds limits, does not exist here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from cxr.cloud.aws.local.jobs.artefacts import Checkpoints, upload_tar
from cxr.cloud.aws.local.jobs.host_processes import HostCommand, HostProcesses
from cxr.cloud.aws.local.jobs.job_logs import TRAINING_GROUP, JobLogs
from cxr.cloud.aws.local.jobs.metrics import Metrics, metrics_of
from cxr.cloud.aws.local.jobs.toolkit import script_command, toolkit_environment
from cxr.cloud.aws.local.jobs.training_request import TrainingRequest
from cxr.cloud.aws.local.jobs.training_state import TrainingState
from cxr.cloud.aws.local.jobs.tree import HostTree, fill_channels, input_data_config, resource_config
from cxr.cloud.aws.local.jobs.work import JobFailedError, JobKey, JobStoppedError, Work
from cxr.cloud.aws.local.moto_state import MotoState
from cxr.cloud.aws.local.outcomes import Outcomes
from cxr.cloud.aws.local.process import environment as client_environment
from cxr.cloud.aws.local.settings import ACCOUNT, LocalSettings
from cxr.cloud.emulator.jobs.cluster import free_addresses
from cxr.cloud.emulator.jobs.shims import program_environment

KIND = "training-job"
POLL_SECONDS = 0.05
#: How often checkpoints are looked for while a job runs.
CHECKPOINT_SECONDS = 5.0


class Reason(Enum):
    """Why programs were asked to end."""

    STOPPED = "stopped"
    TOO_LONG = "too long"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What every job has around it."""

    settings: LocalSettings
    moto: MotoState
    outcomes: Outcomes


class TrainingJob(Work):
    """A training job that moto knows already."""

    def __init__(self, around: Circumstances, region: str, request: TrainingRequest) -> None:
        super().__init__(JobKey(KIND, region, request.name))
        self._around = around
        self._request = request
        self.state = TrainingState(around.moto, region, request.name)
        self._s3 = around.moto.client("s3", region)
        self._metrics: Metrics = metrics_of(request.metric_definitions)
        self._trained_seconds = 0.0
        self._interruptions = 0

    def run(self) -> None:
        """Train, again after each interruption, and store what comes of it."""
        rule = self._around.outcomes.rule("fail", self._request.name)
        if rule is not None:
            raise JobFailedError(rule.reason)
        reason = self._attempt()
        while reason is Reason.INTERRUPTED:
            self.state.enter("Interrupted")
            self.check_stop()
            self.state.enter("Starting")
            reason = self._attempt()

    def failed(self, reason: str) -> None:
        """Failed."""
        self.state.failed(reason)

    def stopped(self) -> None:
        """Stopped without a model."""
        if not self.abandoned.is_set():
            self.state.stopped("Stopped", None)

    def _attempt(self) -> Reason | None:
        request = self._request
        trees = [HostTree(self._around.settings.jobs_dir / request.name / host, host) for host in request.hosts]
        for tree in trees:
            tree.lay_out()
        self.state.enter("Downloading")
        fill_channels(self._s3, request.channels, trees)
        checkpoints = Checkpoints(self._s3, request.checkpoint_uri, [tree.checkpoints for tree in trees])
        checkpoints.fetch()
        commands = self._commands(trees)
        self.check_stop()
        self.state.enter("Training")
        codes, reason = self._train(commands, checkpoints)
        if self.abandoned.is_set():
            raise JobStoppedError
        checkpoints.send()
        self.state.metrics(self._metrics.values)
        if reason is Reason.INTERRUPTED:
            return reason
        if reason is None and any(codes.get(host, -9) for host in request.hosts):
            raise JobFailedError(_failure(trees, codes))
        self._store(trees, reason)
        return reason

    def _commands(self, trees: Sequence[HostTree]) -> list[HostCommand]:
        request, hosts = self._request, self._request.hosts
        addresses = free_addresses([len(hosts)])[0]
        commands = []
        for number, tree in enumerate(trees):
            tree.write_config("hyperparameters.json", request.hyperparameters)
            tree.write_config("resourceconfig.json", resource_config(hosts, tree.host, request.instance_type))
            tree.write_config("inputdataconfig.json", input_data_config(request.channels))
            environment = {
                **program_environment(tree.shims, tree.work),
                **client_environment(self._around.moto.url, self.key.region),
                "TRAINING_JOB_NAME": request.name,
                "TRAINING_JOB_ARN": f"arn:aws:sagemaker:{self.key.region}:{ACCOUNT}:training-job/{request.name}",
                "SAGEMAKER_BASE_DIR": str(tree.base.resolve()),
                **({"TF_CONFIG": _cluster(addresses, number)} if len(hosts) > 1 else {}),
            }
            argv = [tree.placed(part) for part in request.command]
            if not argv:
                argv = script_command(self._s3, tree, request.hyperparameters)
                environment |= toolkit_environment(tree, hosts, request.hyperparameters)
            environment |= {name: tree.placed(value) for name, value in request.environment.items()}
            commands.append(HostCommand(tree.host, argv, tree.work, environment))
        return commands

    def _train(self, commands: Sequence[HostCommand], checkpoints: Checkpoints) -> tuple[dict[str, int], Reason | None]:
        request, region = self._request, self.key.region
        logs = JobLogs(self._around.moto.client("logs", region), TRAINING_GROUP, request.name, request.hosts)
        processes = HostProcesses(commands, self._around.settings.jobs_dir / request.name / "wrapper.err")
        began, reason, kill_at, checkpoints_at = time.monotonic(), None, 0.0, time.monotonic() + CHECKPOINT_SECONDS
        try:
            while True:
                line = processes.next_line(POLL_SECONDS)
                if line is not None:
                    logs.add(line)
                    if self._metrics.read(str(line["text"])):
                        self.state.metrics(self._metrics.values)
                logs.send_when_due()
                moment = time.monotonic()
                if self.abandoned.is_set():
                    break
                if reason is None and (reason := self._reason_to_end(moment - began)) is not None:
                    processes.ask_to_end()
                    kill_at = moment + self._around.settings.stop_grace_seconds
                elif reason is not None and moment >= kill_at:
                    processes.kill()
                    kill_at = moment + 1.0
                if moment >= checkpoints_at:
                    checkpoints.send()
                    checkpoints_at = moment + CHECKPOINT_SECONDS
        except EOFError:
            logs.send()
        finally:
            processes.close()
            self._trained_seconds += time.monotonic() - began
        return processes.codes, reason

    def _reason_to_end(self, seconds: float) -> Reason | None:
        if self.stopping.is_set():
            return Reason.STOPPED
        if self._trained_seconds + seconds >= self._request.max_runtime_seconds:
            return Reason.TOO_LONG
        rule = self._around.outcomes.rule("interrupt", self._request.name) if self._request.is_spot else None
        if rule is not None and self._interruptions < rule.times and seconds >= rule.after_seconds:
            self._interruptions += 1
            return Reason.INTERRUPTED
        return None

    def _store(self, trees: Sequence[HostTree], reason: Reason | None) -> None:
        request = self._request
        self.state.enter("Uploading")
        has_model = upload_tar(self._s3, [tree.model for tree in trees], request.model_uri)
        upload_tar(self._s3, [tree.output_data for tree in trees], request.output_uri)
        if reason is None:
            self.state.completed(request.model_uri)
            return
        secondary = "Stopped" if reason is Reason.STOPPED else "MaxRuntimeExceeded"
        self.state.stopped(secondary, request.model_uri if has_model else None)


def _cluster(addresses: Sequence[str], number: int) -> str:
    """TF_CONFIG as for Amazon's hosts: the first is the chief."""
    cluster = {"chief": list(addresses[:1]), "worker": list(addresses[1:])}
    task = {"type": "chief", "index": 0} if number == 0 else {"type": "worker", "index": number - 1}
    return json.dumps({"cluster": cluster, "task": task})


def _failure(trees: Sequence[HostTree], codes: dict[str, int]) -> str:
    """The FailureReason of a program that failed: what it says in output/failure, and its exit code."""
    # A host that was killed because another had failed says nothing of why.
    blamed = sorted(trees, key=lambda tree: (codes.get(tree.host, -9) == 0, codes.get(tree.host, -9) < 0))
    words = [_words(tree.failure) for tree in blamed if tree.failure.is_file()]
    code = codes.get(blamed[0].host, -9)
    return f"AlgorithmError: {words[0] if words else ''}, exit code: {code if code >= 0 else 128 - code}"


def _words(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip()[: 1024 - 64]
