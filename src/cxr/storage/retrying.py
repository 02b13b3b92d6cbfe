"""Asking again: with jitter, no sooner than the service asked for, and never without a precondition.

How long: a call is repeated until it has failed for `Patience.retry_s`. When nothing at all has succeeded for that long
the place counts as out of reach, and nothing more is tried. Source of the method:
https://cloud.google.com/storage/docs/retry-strategy (truncated exponential backoff, idempotency by preconditions).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from cxr.errors import Interrupted, NotFound, Unreachable, VersionConflict
from cxr.storage.checksums import digest_of_bytes, digest_of_file
from cxr.storage.store import ABSENT, Digest, ObjectInfo, Store

Result = TypeVar("Result")

RETRY_S: Final = 120.0
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
#: Seconds without any success after which a person should hear of it.
OUTAGE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds for which a call is tried again; the first wait and the longest (each is drawn from its upper half)."""

    retry_s: float = RETRY_S
    first_wait_s: float = FIRST_WAIT_S
    longest_wait_s: float = LONGEST_WAIT_S

    def wait_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row."""
        bound = min(self.longest_wait_s, self.first_wait_s * 2.0 ** min(failures - 1, 30))
        return random.uniform(bound / 2, bound)


#: Told the last error and for how many seconds more it will be tried, when nothing has succeeded for `OUTAGE_S`.
OnOutage = Callable[[Unreachable, float], None]


class Retrier:
    """The retries of one command, shared by its threads."""

    def __init__(
        self,
        patience: Patience | None = None,
        cancelled: threading.Event | None = None,
        on_outage: OnOutage | None = None,
        last_progress: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._patience = patience or Patience()
        self._on_outage = on_outage
        self._last_progress = last_progress
        self._cancelled = cancelled or threading.Event()
        self._lock = threading.Lock()
        self._outage_since: float | None = None
        self._retries = 0
        self._gave_up = False

    @property
    def retries(self) -> int:
        """How often something was tried again."""
        return self._retries

    @property
    def gave_up(self) -> bool:
        """Whether nothing has succeeded for so long that nothing more will be tried."""
        return self._gave_up

    def call(self, action: Callable[[], Result], *, repeatable: bool = True) -> Result:
        """`action()`, again while it raises Unreachable and patience lasts. Raises what the last attempt raised."""
        failures, failing_since = 0, 0.0
        while True:
            if self._cancelled.is_set():
                raise Interrupted("the transfer was cancelled")
            try:
                result = action()
            except Unreachable as error:
                if not repeatable:
                    raise
                failures = 1 if error.made_progress else failures + 1
                failing_since = time.monotonic() if failures == 1 else failing_since
                self._wait(error, failures, failing_since)
            else:
                self.succeeded()
                return result

    def succeeded(self) -> None:
        """Something worked: the place is in reach."""
        self._outage_since, self._gave_up = None, False

    def _wait(self, error: Unreachable, failures: int, failing_since: float) -> None:
        now = time.monotonic()
        # Not before the service's moment, and not all at the same one.
        wait = self._patience.wait_s(failures)
        if error.retry_after is not None:
            wait = max(wait, error.retry_after + random.uniform(0, self._patience.first_wait_s))
        with self._lock:
            if self._outage_since is None or error.made_progress:
                self._outage_since = now
            self._outage_since = max(self._outage_since, self._last_progress())
            if now - self._outage_since > max(self._patience.retry_s, OUTAGE_S):
                self._gave_up = True
            if self._gave_up or now - failing_since + wait > self._patience.retry_s:
                raise error
            self._retries += 1
            outage_s = now - self._outage_since
        if self._on_outage is not None and outage_s >= OUTAGE_S:
            self._on_outage(error, self._patience.retry_s - outage_s)
        if self._cancelled.wait(wait):
            raise Interrupted("the transfer was cancelled") from error


class RetryingStore:
    """A store whose calls are repeated by a `Retrier`; a write only when it names the version that it replaces."""

    def __init__(self, store: Store, retrier: Retrier) -> None:
        self._store = store
        self.retrier = retrier

    @property
    def url(self) -> str:
        """The store's URL."""
        return self._store.url

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
        """The store's listing; after a failure it goes on behind the last name that came."""
        listing, last = self._store.list(prefix, after=after), after

        def following() -> ObjectInfo | None:
            nonlocal listing
            try:
                return next(listing, None)
            except Unreachable:
                listing = self._store.list(prefix, after=last)
                raise

        while (info := self.retrier.call(following)) is not None:
            last = info.name
            yield info

    def stat(self, name: str) -> ObjectInfo | None:
        """As the store."""
        return self.retrier.call(lambda: self._store.stat(name))

    def put_file(
        self,
        name: str,
        path: Path,
        *,
        if_version: str | None = None,
        expected: Digest | None = None,
        content_type: str | None = None,
    ) -> ObjectInfo:
        """As the store."""

        def digest() -> Digest:
            return expected if expected is not None and expected.crc32c else digest_of_file(path, expected)

        def put() -> ObjectInfo:
            return self._store.put_file(name, path, if_version=if_version, expected=expected, content_type=content_type)

        return self._write(name, put, digest, if_version)

    def put_bytes(
        self, name: str, data: bytes, *, if_version: str | None = None, content_type: str | None = None
    ) -> ObjectInfo:
        """As the store."""

        def put() -> ObjectInfo:
            return self._store.put_bytes(name, data, if_version=if_version, content_type=content_type)

        return self._write(name, put, lambda: digest_of_bytes(data), if_version)

    def replace_file(self, name: str, path: Path, *, content_type: str | None = None) -> ObjectInfo:
        """Make an object be a file's bytes, whatever is there now; nothing is sent when it has them already.

        Raises VersionConflict when somebody else writes it at the same time.
        """
        digest = digest_of_file(path, None)
        found = self.stat(name)
        if found is not None and found.holds(digest):
            return found
        version = found.version if found is not None else ABSENT
        return self.put_file(name, path, if_version=version, expected=digest, content_type=content_type)

    def replace_bytes(self, name: str, data: bytes, *, content_type: str | None = None) -> ObjectInfo:
        """Make an object be these bytes, in the same way."""
        found = self.stat(name)
        if found is not None and found.holds(digest_of_bytes(data)):
            return found
        version = found.version if found is not None else ABSENT
        return self.put_bytes(name, data, if_version=version, content_type=content_type)

    def get_bytes(self, name: str) -> bytes:
        """As the store."""
        return self.retrier.call(lambda: self._store.get_bytes(name))

    def get_file(self, name: str, path: Path, *, expected: Digest | None = None) -> None:
        """As the store."""
        self.retrier.call(lambda: self._store.get_file(name, path, expected=expected))

    def delete(self, name: str, *, if_version: str | None = None) -> None:
        """As the store; an object that a repeated request does not find any more is deleted."""
        attempts = 0

        def remove() -> None:
            nonlocal attempts
            attempts += 1
            try:
                self._store.delete(name, if_version=if_version)
            except (NotFound, VersionConflict):
                # The answer to an earlier attempt may have been lost after the object was deleted.
                if attempts == 1 or self._store.stat(name) is not None:
                    raise

        self.retrier.call(remove, repeatable=if_version is not None)

    def _write(
        self, name: str, put: Callable[[], ObjectInfo], digest: Callable[[], Digest], if_version: str | None
    ) -> ObjectInfo:
        attempts = 0

        def attempt() -> ObjectInfo:
            nonlocal attempts
            attempts += 1
            try:
                return put()
            except VersionConflict:
                # The answer to an earlier attempt may have been lost after the object was made.
                found = self._store.stat(name) if attempts > 1 else None
                if found is None or not found.holds(digest()):
                    raise
                return found

        return self.retrier.call(attempt, repeatable=if_version is not None)
