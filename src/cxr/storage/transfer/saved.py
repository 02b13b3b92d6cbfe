"""A saved plan against the present: it may be carried out only as long as it is still true."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cxr.errors import CheckFailed
from cxr.storage.transfer.plan_file import Action, PlanFile

_SHOWN: Final = 5
_HINT: Final = "look at it anew: --dry-run --plan FILE"


def check_same(saved: PlanFile, fresh: PlanFile, *keys: str) -> None:
    """Raises CheckFailed when the two plans are for different things: a header's entry of `keys` differs."""
    for key in ("kind", *keys):
        then, now = saved.header.get(key), fresh.header.get(key)
        if then != now:
            raise CheckFailed(f"{saved.path} was made for the {key} {then}, this is {now}", hint=_HINT)


def check_still_true(saved: PlanFile, fresh: PlanFile) -> None:
    """Compare a saved plan with one made just now. What has been done since as the saved one says is no difference.

    Raises CheckFailed that names the first objects that somebody else has changed.
    """
    changes = list(_differences(saved, fresh))
    if changes:
        told = "; ".join(changes[:_SHOWN]) + (f"; and {len(changes) - _SHOWN:,} more" if len(changes) > _SHOWN else "")
        where = fresh.header.get("destination", "")
        raise CheckFailed(f"{where} has changed since {saved.path} was made: {told}", hint=_HINT)


def _differences(saved: PlanFile, fresh: PlanFile) -> Iterator[str]:
    planned = saved.actions()
    then = next(planned, None)
    for now in fresh.actions():
        while then is not None and then.name < now.name:
            then = next(planned, None)  # done meanwhile: the object is as the plan wanted it, or the orphan is gone
        if then is None or then.name != now.name:
            yield f"{now.name} {_found(now)}"
        else:
            if (then.why, then.version, then.digest) != (now.why, now.version, now.digest):
                yield f"{now.name} is another version"
            then = next(planned, None)


def _found(now: Action) -> str:
    return {"new": "is gone", "changed": "has other bytes", "orphan": "was put there"}[now.why]
