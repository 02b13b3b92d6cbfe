"""What a job's programs print, as CloudWatch Logs has it: one stream for each host."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

TRAINING_GROUP = "/aws/sagemaker/TrainingJobs"
TRANSFORM_GROUP = "/aws/sagemaker/TransformJobs"
#: Lines are sent when the oldest of them is so old.
FLUSH_SECONDS = 0.25
#: In one call of PutLogEvents (API reference: 10 000 events, 1 048 576 bytes).
MOST_EVENTS = 1000


class JobLogs:
    """The streams `NAME/HOST-EPOCHSECONDS` of one attempt of a job."""

    def __init__(self, client: Any, group: str, name: str, hosts: Sequence[str]) -> None:
        self._client = client
        self._group = group
        epoch = int(time.time())
        self._streams = {host: f"{name}/{host}-{epoch}" for host in hosts}
        self._events: dict[str, list[dict[str, Any]]] = {host: [] for host in hosts}
        self._due: float | None = None
        with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
            client.create_log_group(logGroupName=group)
        for stream in self._streams.values():
            with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
                client.create_log_stream(logGroupName=group, logStreamName=stream)

    def add(self, line: Mapping[str, Any]) -> None:
        """One line {"time", "task", "text"}; empty ones are none, for an event has a message."""
        text = str(line["text"])
        if not text:
            return
        moment = round(datetime.fromisoformat(str(line["time"])).timestamp() * 1000)
        self._events[str(line["task"])].append({"timestamp": moment, "message": text})
        if self._due is None:
            self._due = time.monotonic() + FLUSH_SECONDS

    def send_when_due(self) -> None:
        """Send what has waited long enough."""
        if self._due is not None and time.monotonic() >= self._due:
            self.send()

    def send(self) -> None:
        """Send all."""
        self._due = None
        for host, events in self._events.items():
            # Two threads read a program's two streams, so that neighbours may have changed places.
            ordered = sorted(events, key=lambda event: int(event["timestamp"]))
            for start in range(0, len(ordered), MOST_EVENTS):
                self._client.put_log_events(
                    logGroupName=self._group,
                    logStreamName=self._streams[host],
                    logEvents=ordered[start : start + MOST_EVENTS],
                )
            events.clear()
