"""The server's own URLs: `/_aws_local/status` and `/_aws_local/outcomes`."""

from __future__ import annotations

import os
from typing import Any

from cxr.cloud.aws.local.answers import Answer, json_answer
from cxr.cloud.aws.local.jobs.work import JobRunner
from cxr.cloud.aws.local.outcomes import Outcomes
from cxr.documents import parse_json
from cxr.version import __version__

PATH = "/_aws_local/"
NOTE = "Buckets and jobs are in memory: a server that is started again has forgotten them."


class Control:
    """Answers for people and tests, not for Amazon's SDK."""

    def __init__(self, runner: JobRunner, outcomes: Outcomes, url: str) -> None:
        self._runner = runner
        self._outcomes = outcomes
        self._url = url

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """The answer to one request."""
        what = path.removeprefix(PATH)
        if what == "status" and method == "GET":
            return json_answer(self._status())
        if what == "outcomes" and method in {"GET", "PUT", "DELETE"}:
            try:
                if method != "GET":
                    self._outcomes.change(parse_json(body) if method == "PUT" else {})
            except ValueError as error:
                return json_answer({"error": {"message": str(error)}}, 400)
            return json_answer(self._outcomes.document())
        return json_answer({"error": {"message": f"there is no {method} {path}"}}, 404)

    def _status(self) -> dict[str, Any]:
        return {
            "service": "cxr-aws-local",
            "version": __version__,
            "pid": os.getpid(),
            "url": self._url,
            "running_jobs": self._runner.running,
            "waiting_jobs": self._runner.waiting,
            "note": NOTE,
        }
