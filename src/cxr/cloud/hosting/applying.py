"""A hosting plan, carried out.

Invariant: at every moment the record in the bucket names all files of cxr's pages that are there, so that whatever was
interrupted is gone on with, or undone, by the next command. A bucket is made public only after all is in it, and is
private again before anything is deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cxr.cloud.hosting.files import Headers
from cxr.cloud.hosting.host import Address, Host
from cxr.cloud.hosting.plan import HostPlan, check_public
from cxr.cloud.hosting.record import RECORD, Record
from cxr.cloud.hosting.removal import RemovalPlan
from cxr.progress import Progress, silent
from cxr.storage.store import ABSENT
from cxr.webapp.headers import INDEX

RECORD_HEADERS = Headers("application/json", "no-cache")


@dataclass(frozen=True, slots=True)
class Hosted:
    """What was done, and where the page is to be seen (nothing when it is private)."""

    sent: int
    deleted: int
    addresses: tuple[Address, ...]


def host_page(plan: HostPlan, *, on_progress: Progress = silent) -> Hosted:
    """Make the bucket, send what is new, delete what an older page left, make it public. Raises VersionConflict when
    somebody changed a file since the plan was made, NotAllowed when it may not be made public, UsageError when it would
    show more than the page by now (all is sent then, and private)."""
    host, prefix = plan.host, plan.prefix
    if plan.found is None:
        host.create(plan.region)
    names = {*plan.record.files, *(one.file.name for one in plan.sending)}
    keeper = _Keeper(host, prefix, plan.record_version, plan.record)
    keeper.keep(replace(plan.record, files=tuple(sorted(names))))
    steps = len(plan.sending) + len(plan.stale) + plan.publish
    for number, one in enumerate(plan.sending, 1):
        on_progress(number - 1, steps, one.file.name)
        host.put(prefix + one.file.name, one.file.data, one.file.headers, one.version)
    for number, stale in enumerate(plan.stale, len(plan.sending) + 1):
        on_progress(number - 1, steps, stale.name)
        host.delete(prefix + stale.name, stale.version)
    names -= {stale.name for stale in plan.stale}
    keeper.keep(replace(keeper.record, files=tuple(sorted(names))))
    if plan.publish:
        # Somebody may have put images there, or changed the policy, while the user was asked and the page was sent.
        found = host.look()
        check_public(host, found, prefix, plan.own, public=True)
        # What the bucket was like before is what it is now, unless an earlier attempt got as far as this.
        if keeper.record.before is None and found is not None:
            keeper.keep(replace(keeper.record, before=found.before))
        host.publish(prefix, INDEX)
    on_progress(steps, steps, "")
    addresses = host.addresses(prefix, INDEX) if plan.public else ()
    return Hosted(len(plan.sending), len(plan.stale), addresses)


def remove_page(plan: RemovalPlan, *, on_progress: Progress = silent) -> bool:
    """Undo a hosting; whether the bucket is gone, too."""
    host, steps = plan.host, len(plan.doomed)
    if plan.record.before is not None:
        host.withdraw(plan.prefix, plan.record.before)
    for number, one in enumerate(plan.doomed, 1):
        on_progress(number - 1, steps, one.name)
        host.delete(plan.prefix + one.name, one.version)
    on_progress(steps, steps, "")
    return plan.drop_bucket and host.drop()


class _Keeper:
    """The record in the bucket: written only when it says something new."""

    def __init__(self, host: Host, prefix: str, version: str, record: Record) -> None:
        self._host, self._name, self._version = host, prefix + RECORD, version
        self.record = record

    def keep(self, record: Record) -> None:
        if record == self.record and self._version != ABSENT:
            return
        self._version = self._host.put(self._name, record.to_json(), RECORD_HEADERS, self._version)
        self.record = record
