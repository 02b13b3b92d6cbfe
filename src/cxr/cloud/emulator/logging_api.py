"""Cloud Logging's entries.list: what custom jobs printed.

Each line is an entry of the resource `ml_job` with the labels job_id, project_id and task_name (the replica:
workerpool0-0), severity INFO for stdout and ERROR for stderr, as Vertex AI writes them. The lines of a trial have the
tuning job's id and the label ml.googleapis.com/trial_id. AutoML jobs have no entries, there as here.
Source: https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cxr.cloud.emulator.errors import invalid_argument
from cxr.cloud.emulator.jobs.attempts import PRIMARY_TASK
from cxr.cloud.emulator.jobs.runner import LOG
from cxr.cloud.emulator.vertex_api.call import VertexContext
from cxr.cloud.emulator.vertex_api.filtering import Filter, parse_filter

DEFAULT_PAGE, MAX_PAGE = 50, 1000
FIELDS = {
    "resource.type": "resource.type",
    "resource.labels.*": "resource.labels",
    "labels.*": "labels",
    "timestamp": "timestamp",
    "severity": "severity",
    "logName": "logName",
    "insertId": "insertId",
    "textPayload": "textPayload",
    "jsonPayload.*": "jsonPayload",
}
KNOWN_FIELDS = {"resourceNames", "projectIds", "filter", "orderBy", "pageSize", "pageToken"}


def list_entries(context: VertexContext, body: Mapping[str, Any]) -> dict[str, Any]:
    """One page of entries, oldest first unless orderBy says otherwise. Raises 400 for what it cannot read."""
    unknown = sorted(set(body) - KNOWN_FIELDS)
    if unknown:
        raise invalid_argument(f'Invalid JSON payload received. Unknown name "{unknown[0]}".')
    for key in ("filter", "orderBy", "pageToken"):
        if not isinstance(body.get(key) or "", str):
            raise invalid_argument(f"Invalid value for {key}: a text is needed.", field=key)
    wanted = parse_filter(body.get("filter") or "", FIELDS)
    projects = {name.removeprefix("projects/") for name in _texts(body, "resourceNames")}
    projects |= set(_texts(body, "projectIds"))
    entries = [entry for entry in _entries(context, projects, wanted) if wanted.matches(entry)]
    order = str(body.get("orderBy") or "timestamp asc")
    if order not in {"timestamp", "timestamp asc", "timestamp desc"}:
        raise invalid_argument(f"Invalid order_by {order!r}.", field="order_by")
    entries.sort(key=lambda entry: (entry["timestamp"], entry["insertId"]), reverse=order.endswith("desc"))
    start = _offset(str(body.get("pageToken") or ""))
    size = _size(body.get("pageSize") or DEFAULT_PAGE)
    page: dict[str, Any] = {"entries": entries[start : start + size]} if entries[start:] else {}
    if start + size < len(entries):
        page["nextPageToken"] = base64.urlsafe_b64encode(f"from:{start + size}".encode()).decode()
    return page


def _entries(context: VertexContext, projects: set[str], wanted: Filter) -> Iterator[dict[str, Any]]:
    # A filter that names one job spares reading the logs of all others.
    named = {
        item.value for item in wanted.comparisons if item.field == "resource.labels.job_id" and item.operator == "="
    }
    rows = context.read.execute(
        "SELECT name, folder, parent, context FROM jobs LEFT JOIN children ON child=name"
        " WHERE kind='custom' ORDER BY serial"
    )
    for row in rows.fetchall():
        _, project, _, _, _, job_id = row["name"].split("/")
        trial = json.loads(row["context"] or "{}").get("trial", "")
        if trial:
            job_id = row["parent"].rpartition("/")[2]  # a trial's lines are the tuning job's
        if (projects and project not in projects) or (named and job_id not in named):
            continue
        yield from _job_entries(project, job_id, trial, context.settings.jobs_dir / row["folder"])


def _job_entries(project: str, job_id: str, trial: str, folder: Path) -> Iterator[dict[str, Any]]:
    attempts: Sequence[Path] = sorted(folder.glob(f"attempt-*/{LOG}"), key=lambda path: int(path.parent.name[8:]))
    number = 0
    for path in attempts:
        with path.open("rb") as stream:
            for raw in stream:
                if not raw.endswith(b"\n"):
                    break  # the line that is being written at this moment
                line = json.loads(raw)
                number += 1
                task = line.get("task", PRIMARY_TASK)
                yield {
                    "logName": f"projects/{project}/logs/{task}",
                    "resource": {
                        "type": "ml_job",
                        "labels": {"job_id": job_id, "project_id": project, "task_name": task},
                    },
                    "labels": {"ml.googleapis.com/job_id/log_area": "root", "ml.googleapis.com/trial_id": trial},
                    "timestamp": line["time"],
                    "receiveTimestamp": line["time"],
                    "severity": "ERROR" if line["stream"] == "stderr" else "INFO",
                    "insertId": f"{folder.name}-{number:09d}",
                    "jsonPayload": {"message": line["text"]},
                }


def _texts(body: Mapping[str, Any], key: str) -> list[str]:
    value = body.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise invalid_argument(f"Invalid value for {key}: a list of texts is needed.", field=key)
    return value


def _size(value: Any) -> int:
    # Numbers of protocol buffers may be texts in JSON.
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise invalid_argument(f"Invalid page size {value!r}.", field="page_size")
    return min(value, MAX_PAGE)


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        kind, _, number = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if kind == "from" and 0 <= int(number) < 2**63:
            return int(number)
    except (binascii.Error, UnicodeError, ValueError):
        pass
    raise invalid_argument(f"Invalid page token {token!r}.", field="page_token")
