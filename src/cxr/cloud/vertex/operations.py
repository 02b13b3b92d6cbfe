"""Long-running operations: polled from the first second, errors in our own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cxr.cloud.jobs.waiting import poll
from cxr.errors import JobFailed
from cxr.storage.google.errors import google_errors, polling_errors

OPERATION_TIMEOUT_S = 2 * 3600.0


def wait_for_operation(
    operation: Any,
    what: str,
    *,
    on_look: Callable[[Any], None] = lambda _: None,
    timeout_s: float = OPERATION_TIMEOUT_S,
) -> Any:
    """The operation's response. Raises JobFailed with the service's message, Interrupted past `timeout_s`."""

    def look() -> bool:
        with polling_errors(what):
            return bool(operation.done())

    poll(look, bool, timeout_s=timeout_s, longest_pause_s=5.0, on_look=on_look)
    with google_errors(what):
        # Asked for before result(), which raises the service's error as an exception of another family.
        error = operation.operation.error
        if operation.operation.HasField("error"):
            raise JobFailed(f"{what}: {error.message}")
        return operation.result(timeout=1)
