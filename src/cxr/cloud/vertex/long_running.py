"""Long-running operations, polled from the first second; one that is known by its name was begun by another process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cxr.cloud.jobs.waiting import poll
from cxr.errors import JobFailed
from cxr.storage.google.errors import google_errors, polling_errors

OPERATION_TIMEOUT_S = 2 * 3600.0
_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Operation:
    """A google.longrunning.Operation as last seen; `error` is the service's message ("" for none)."""

    name: str
    done: bool
    error: str
    raw: Any

    def metadata_as(self, kind: Any) -> Any:
        """Its metadata as a message of the SDK's type `kind`, None when it holds another."""
        return _unpacked(self.raw.metadata, kind)


def operation_of(raw: Any) -> Operation:
    """What a google.longrunning.Operation message says."""
    error = str(raw.error.message) or f"code {raw.error.code}" if raw.HasField("error") else ""
    return Operation(str(raw.name), bool(raw.done), error, raw)


def look_at_operation(client: Any, name: str) -> Operation:
    """Ask any of the service's clients for an operation. Raises NotFound when it is forgotten."""
    with polling_errors(f"ask for the operation {name.rpartition('/')[2]}"):
        return operation_of(client.get_operation(request={"name": name}))


def wait_by_name(client: Any, name: str, what: str) -> Operation:
    """The operation when it has ended well. Raises JobFailed with the service's message, NotFound when it is forgotten,
    Interrupted past OPERATION_TIMEOUT_S."""
    ended = poll(
        lambda: look_at_operation(client, name),
        lambda operation: operation.done,
        timeout_s=OPERATION_TIMEOUT_S,
        longest_pause_s=_LONGEST_PAUSE_S,
    )
    return _succeeded(ended, what)


def wait_for_operation(future: Any, what: str) -> Any:
    """The response of an operation that this process began. Raises JobFailed with the service's message, Interrupted
    past OPERATION_TIMEOUT_S."""

    def look() -> bool:
        with polling_errors(what):
            return bool(future.done())

    poll(look, bool, timeout_s=OPERATION_TIMEOUT_S, longest_pause_s=_LONGEST_PAUSE_S)
    # Asked for before result(), which raises the service's error as an exception of another family.
    _succeeded(operation_of(future.operation), what)
    with google_errors(what):
        return future.result(timeout=1)


def _succeeded(ended: Operation, what: str) -> Operation:
    if ended.error:
        raise JobFailed(f"{what}: {ended.error}")
    return ended


def _unpacked(packed: Any, kind: Any) -> Any:
    message = kind()
    return message if packed.Unpack(kind.pb(message)) else None
