"""Long-running operations: begun, worked on in a thread of their own, kept until deleted.

One that is unfinished when the server ends is taken up again by the next.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from cxr.cloud.emulator.errors import ApiError, Code, RpcError, failed_precondition, not_found
from cxr.cloud.emulator.state.database import Database, next_serial
from cxr.cloud.emulator.vertex_api.call import Call, VertexContext
from cxr.cloud.emulator.vertex_api.messages import JsonObject, checked_operation, now, packed, packed_empty, types
from cxr.cloud.emulator.vertex_api.resource_store import new_id

MAX_WAIT_SECONDS = 60.0
RETRY_SECONDS = 1.0
log = logging.getLogger(__name__)

#: Does an operation's work from its input; gives (response or None for Empty, changes of the metadata).
Work = Callable[[JsonObject], tuple[JsonObject | None, JsonObject]]


def begin(
    connection: sqlite3.Connection,
    parent: str,
    kind: str,
    metadata_type: Any,
    work_input: JsonObject | None = None,
    details: JsonObject | None = None,
) -> JsonObject:
    """Record a new operation below `parent`; its JSON is what the method answers (not done yet).

    With `work_input` a worker of that `kind` is to do it; without, the caller finishes it in the same transaction.
    `details` are what its metadata say beyond the times.
    """
    name = f"{parent}/operations/{new_id(connection)}"
    moment = now()
    metadata = packed(
        metadata_type, {"genericMetadata": {"createTime": moment, "updateTime": moment}, **(details or {})}
    )
    body = {"name": name, "metadata": metadata}
    connection.execute(
        "INSERT INTO operations VALUES (?,?,?,?,?,?,0)",
        (name, parent, next_serial(connection, "operation"), kind, json.dumps(work_input), json.dumps(body)),
    )
    return body


def finish(
    connection: sqlite3.Connection,
    name: str,
    *,
    response: JsonObject | None = None,
    error: JsonObject | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """End an operation with a response (None: Empty) or an error (google.rpc.Status); one that is done stays."""
    row = connection.execute("SELECT body FROM operations WHERE name=? AND done=0", (name,)).fetchone()
    if row is None:
        return
    body = json.loads(row["body"])
    extra = dict(metadata or {})
    generic = {**body["metadata"]["genericMetadata"], **extra.pop("genericMetadata", {}), "updateTime": now()}
    body["metadata"] = {**body["metadata"], **extra, "genericMetadata": generic}
    body["done"] = True
    if error is not None:
        body["error"] = error
    else:
        body["response"] = response if response is not None else packed_empty()
    connection.execute("UPDATE operations SET body=?, done=1 WHERE name=?", (json.dumps(checked_operation(body)), name))


def delete_at_once(
    context: VertexContext,
    name: str,
    forget: Callable[[sqlite3.Connection], None],
    *,
    parent: str | None = None,
) -> JsonObject:
    """Delete a resource and answer with the operation that did it, below `parent` (the resource itself without)."""
    with context.write() as connection:
        operation = begin(connection, parent or name, "delete", types.DeleteOperationMetadata)
        forget(connection)
        finish(connection, operation["name"])
    return operation


def get_operation(context: VertexContext, call: Call) -> JsonObject:
    """operations.get."""
    return _find(context.read, call.name)


def list_operations(context: VertexContext, call: Call) -> JsonObject:
    """operations.list: newest first, all below the named resource."""
    parent = "/".join((call.parent, *call.path[:-1]))
    rows = context.read.execute(
        "SELECT body FROM operations WHERE parent=? OR (parent>? AND parent<?) ORDER BY serial DESC LIMIT 1000",
        (parent, parent + "/", parent + "0"),
    )
    return {"operations": [json.loads(row["body"]) for row in rows]}


def wait_operation(context: VertexContext, call: Call) -> JsonObject:
    """operations.wait: answers when it is done, or at the time-out (`timeout`, at most 60 s)."""
    asked = str(call.body.get("timeout") or call.query.get("timeout") or f"{MAX_WAIT_SECONDS}s").removesuffix("s")
    try:
        deadline = time.monotonic() + min(float(asked), MAX_WAIT_SECONDS)
    except ValueError:
        raise RpcError(Code.INVALID_ARGUMENT, f"Invalid duration {asked!r}.", field="timeout") from None
    while not (body := _find(context.read, call.name)).get("done") and time.monotonic() < deadline:
        if context.stopping.wait(0.02):
            break
    return body


def cancel_operation(context: VertexContext, call: Call) -> JsonObject:
    """operations.cancel: the work's result is thrown away. A finished operation cannot be cancelled."""
    with context.write() as connection:
        if _find(connection, call.name).get("done"):
            raise failed_precondition(f"The operation {call.name} is already done.")
        finish(connection, call.name, error={"code": Code.CANCELLED.number, "message": "The operation was cancelled."})
    return {}


def delete_operation(context: VertexContext, call: Call) -> JsonObject:
    """operations.delete."""
    with context.write() as connection:
        if not _find(connection, call.name).get("done"):
            raise failed_precondition(f"The operation {call.name} is not done yet.")
        connection.execute("DELETE FROM operations WHERE name=?", (call.name,))
    return {}


class OperationWorker:
    """The thread that does what operations promise, one after the other, oldest first."""

    def __init__(self, database: Database, work: Mapping[str, Work]) -> None:
        self._database = database
        self._work = work
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="operations", daemon=True)

    def start(self) -> None:
        """Begin, with what an earlier server left undone."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def stop(self) -> None:
        """End after the operation in work; the others wait for the next server."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            row = self._database.read.execute(
                "SELECT name, kind, input FROM operations WHERE done=0 ORDER BY serial LIMIT 1"
            ).fetchone()
            if row is None:
                self._wake.wait()
            else:
                self._safely(row["name"], row["kind"], json.loads(row["input"]))

    def _safely(self, name: str, kind: str, work_input: JsonObject) -> None:
        """Do one operation; when its end cannot be written down as it is, it ends with an error."""
        try:
            self._do(name, kind, work_input)
        except Exception:
            log.exception("the end of operation %s cannot be written down", name)
            error = RpcError(Code.INTERNAL, "The emulator failed; see its server.log.")
            try:
                with self._database.write() as connection:
                    finish(connection, name, error=error.status())
            except Exception:
                log.exception("operation %s stays", name)
                self._wake.wait(RETRY_SECONDS)  # a full disk, say: tried again

    def _do(self, name: str, kind: str, work_input: JsonObject) -> None:
        metadata: JsonObject = {}
        try:
            response, metadata = self._work[kind]({**work_input, "operation": name})
        except LeftUndone:
            return
        except OperationError as failed:
            with self._database.write() as connection:
                finish(connection, name, error=failed.error.status(), metadata=failed.metadata)
        except ApiError as refused:
            error = refused if isinstance(refused, RpcError) else RpcError(Code.INVALID_ARGUMENT, str(refused))
            with self._database.write() as connection:
                finish(connection, name, error=error.status())
        except Exception:
            log.exception("operation %s failed", name)
            error = RpcError(Code.INTERNAL, "The emulator failed; see its server.log.")
            with self._database.write() as connection:
                finish(connection, name, error=error.status())
        else:
            with self._database.write() as connection:
                finish(connection, name, response=response, metadata=metadata)


class LeftUndone(Exception):  # noqa: N818  (no error: the next server goes on with it)
    """The server stops in the middle of an operation's work, which can be begun anew."""


class OperationError(Exception):
    """An operation's work failed, and its metadata say more."""

    def __init__(self, error: RpcError, metadata: JsonObject) -> None:
        super().__init__(error.message)
        self.error = error
        self.metadata = metadata


def _find(connection: sqlite3.Connection, name: str) -> JsonObject:
    row = connection.execute("SELECT body FROM operations WHERE name=?", (name,)).fetchone()
    if row is None:
        raise not_found(f"The operation {name!r} does not exist.")
    body: JsonObject = json.loads(row["body"])
    return body
