"""Long-running operations by name: what one process began, another one waits for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cxr.cloud.jobs.waiting import poll
from cxr.errors import JobFailed
from cxr.storage.google.errors import polling_errors

OPERATION_TIMEOUT_S = 2 * 3600.0


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


def wait_by_name(
    client: Any,
    name: str,
    what: str,
    *,
    timeout_s: float = OPERATION_TIMEOUT_S,
    on_look: Callable[[Operation], None] = lambda _: None,
) -> Operation:
    """The operation when it has ended well. Raises JobFailed with the service's message, NotFound when it is forgotten,
    Interrupted past `timeout_s`."""
    ended = poll(
        lambda: look_at_operation(client, name),
        lambda operation: operation.done,
        timeout_s=timeout_s,
        longest_pause_s=5.0,
        on_look=on_look,
    )
    if ended.error:
        raise JobFailed(f"{what}: {ended.error}")
    return ended


def _unpacked(packed: Any, kind: Any) -> Any:
    message = kind()
    return message if packed.Unpack(kind.pb(message)) else None
