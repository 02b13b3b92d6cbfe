"""Online predictions with an endpoint that is there for as long as it is needed: made, used, removed.

Whatever is made is in the journal, under the training job's `details`, before it is waited for, and carries the label
`cxr-run`: a process that dies leaves an endpoint that the next one finds, uses and removes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job, Journal
from cxr.cloud.jobs.launching import teller
from cxr.cloud.jobs.waiting import pauses, poll
from cxr.cloud.plans.launch import PLACE_LABEL, manifest_label, place_label
from cxr.cloud.predicting.scores import Picture, Scores
from cxr.cloud.prices.predictions import ONLINE_NODE_HOUR
from cxr.cloud.signals import heard_as_ctrl_c
from cxr.cloud.vertex import endpoints
from cxr.cloud.vertex.clients import endpoint_client
from cxr.cloud.vertex.long_running import Operation, look_at_operation, wait_by_name
from cxr.errors import CheckFailed, CxrError, Fault, InputError, JobFailed, NotFound, Unreachable, UsageError
from cxr.locks import only_one
from cxr.progress import Progress, Say

#: The key of a job's `details` under which its endpoint stands while there is one.
ONLINE = "online"
#: Requests under way at once; and how often one is tried.
WIDTH = 4
TRIES = 6
#: How long the removal is tried while the service does not answer, or has had too many requests.
REMOVAL_PATIENCE_S = 300.0


class StillThere(Fault):
    """An endpoint could not be removed and goes on costing."""

    headline = "still billed"


class EmptyLeft(StillThere):
    """An endpoint could not be deleted, with nothing deployed to it any more: nothing is billed."""

    headline = "left behind"


@dataclass(frozen=True, slots=True)
class Served:
    """An endpoint with the model on it."""

    resource: str


def check_requests(pictures: Sequence[Picture]) -> None:
    """Raises CheckFailed when an image does not fit into an online request; nothing is made smaller behind anybody's
    back."""
    limit = endpoints.LARGEST_REQUEST_BYTES
    large = [picture for picture in pictures if endpoints.request_bytes(picture.size) > limit]
    if large:
        largest = max(large, key=lambda picture: picture.size)
        raise CheckFailed(
            f"{len(large):,} of {len(pictures):,} images do not fit into an online request of {limit / 1e6:g} MB, the "
            f"largest is {largest.path} ({largest.size / 1e6:.2f} MB, a third more when sent)",
            hint="--predict batch takes images of up to 30 MB",
        )


@contextmanager
def serving(
    connection: Connection,
    journal: Journal,
    job: Job,
    model: str,
    manifest_hash: str,
    *,
    keep: bool,
    say: Say,
    remove_command: str = "",
) -> Iterator[Served]:
    """The model of a training job behind an endpoint, which is removed at the end of the block, however it ends (a
    SIGTERM or a closed terminal included), unless `keep` and all went well.

    Raises StillThere when it could not be removed, with `remove_command` as its hint and with what stopped the block,
    if anything did, as its cause; UsageError when another program of this working folder uses the job's endpoint.
    """
    tell = _unstoppable(say)
    with _alone(journal, job), heard_as_ctrl_c() as do_not_hear:
        try:
            yield Served(_deployed(connection, journal, job, model, manifest_hash, say))
        except BaseException:
            do_not_hear()
            tell("removing the endpoint")
            _remove(connection, journal, job, tell, remove_command)
            raise
        do_not_hear()
        if keep:
            return
        tell("removing the endpoint")
        _remove(connection, journal, job, tell, remove_command)


def score_online(
    connection: Connection,
    served: Served,
    pictures: Sequence[Picture],
    classes: tuple[str, ...],
    read: Callable[[Picture], bytes],
    *,
    on_progress: Progress,
) -> Scores:
    """Ask the endpoint for every image. Raises what `read` raises, Unreachable when the service does not answer any
    more, CheckFailed for an answer with other labels."""
    scores = Scores(classes)
    width = max(1, min(WIDTH, len(pictures)))
    with ThreadPoolExecutor(width) as pool:
        # Slice by slice, so that a failure or Ctrl-C ends the work and not only the collecting.
        for start in range(0, len(pictures), width):
            part = pictures[start : start + width]
            answers = pool.map(lambda one: _ask(connection, served, one, read(one), len(classes)), part)
            for picture, answer in zip(part, answers, strict=True):
                scores.add(picture.path, answer)
            on_progress(len(scores.rows), len(pictures), "scored")
    scores.check_complete(pictures)
    return scores


def endpoint_of(connection: Connection, journal: Journal, job: Job) -> endpoints.Endpoint | None:
    """The endpoint that was made for a job: by the journal, else by its label."""
    known = journal.find(job.id).details.get(ONLINE, {}).get("endpoint")
    found = endpoints.get_endpoint(connection, str(known)) if known else None
    return found or endpoints.find_endpoint(connection, job.id)


def endpoints_of(connection: Connection, journal: Journal, job: Job) -> list[endpoints.Endpoint]:
    """Every endpoint that was made for a job: by the journal and by its label."""
    known = journal.find(job.id).details.get(ONLINE, {}).get("endpoint")
    named = endpoints.get_endpoint(connection, str(known)) if known else None
    labelled = endpoints.find_endpoints(connection, job.id)
    return list({one.resource: one for one in (*([named] if named else []), *labelled)}.values())


def remove_endpoint(
    connection: Connection, journal: Journal, job: Job, *, say: Say, remove_command: str = ""
) -> list[str]:
    """Take everything off the job's endpoints and delete them; the names of those that were there.

    Raises StillThere when that fails, naming what stays and what it costs, with `remove_command` as its hint;
    UsageError when another program of this working folder uses the endpoint.
    """
    with _alone(journal, job), heard_as_ctrl_c():
        return _remove(connection, journal, job, _unstoppable(say), remove_command)


@dataclass(slots=True)
class _Removal:
    """How far a removal is: endpoints that are gone, the one under way, and whether it is known to be empty."""

    gone: list[str]
    at: str = ""
    empty: bool = False


def _remove(connection: Connection, journal: Journal, job: Job, say: Say, remove_command: str) -> list[str]:
    """What goes wrong for a moment (503, 429, a connection lost) is tried again: each minute here is a billed one."""
    removal = _Removal([])
    try:
        poll(
            lambda: _removal_tried(connection, journal, job, say, removal),
            lambda _: True,
            longest_pause_s=5.0,
            patience_s=REMOVAL_PATIENCE_S,
            on_trouble=teller(say),
        )
    except (CxrError, KeyboardInterrupt) as error:
        reason = error.message if isinstance(error, CxrError) else "stopped by Ctrl-C"
        hint = remove_command or f"cxr cloud evaluate {job.id} --remove-endpoint"
        if removal.at and removal.empty:
            raise EmptyLeft(
                f"{removal.at} could not be deleted; nothing is deployed to it and it costs nothing: {reason}",
                hint=hint,
            ) from error
        raise StillThere(
            f"{removal.at or f'an endpoint of {job.id}'} may still be there, for {ONLINE_NODE_HOUR.usd_per_hour:g} USD "
            f"an hour: {reason}",
            hint=hint,
        ) from error
    _forget(journal, job)
    return removal.gone


def _removal_tried(connection: Connection, journal: Journal, job: Job, say: Say, removal: _Removal) -> None:
    """One try at it. What an earlier one has done, perhaps without hearing so, is seen on the service."""
    ended = _end_deployment(connection, journal, job, say)
    # A second endpoint with the label may be there: of two computers, or of a lost answer.
    while left := [one for one in endpoints_of(connection, journal, job) if one.resource not in removal.gone]:
        for found in left:
            removal.empty = removal.empty and removal.at == found.resource
            removal.at = found.resource
            for deployed in found.deployed:
                begin = partial(endpoints.begin_undeployment, connection, found.resource, deployed)
                _ended(connection, begin, "undeploy the model")
            removal.empty = removal.empty or ended or bool(found.deployed)
            _ended(connection, partial(endpoints.begin_deletion, connection, found.resource), "delete the endpoint")
            removal.gone.append(found.resource)
            removal.at, removal.empty = "", False


def _deployed(connection: Connection, journal: Journal, job: Job, model: str, manifest_hash: str, say: Say) -> str:
    """The endpoint's name when the model is on it: found, or made."""
    found = endpoint_of(connection, journal, job)
    if found is None:
        labels = {
            "cxr-run": job.id,
            "cxr-manifest": manifest_label(manifest_hash),
            PLACE_LABEL: place_label(connection),
        }
        say("making an endpoint")
        begun = endpoints.begin_endpoint(connection, job.id, labels)
        resource = begun.name.partition("/operations/")[0]
        _note(journal, job, endpoint=resource, operation=begun.name)
        _wait(connection, begun.name, "create the endpoint")
        found = endpoints.get_endpoint(connection, resource) or endpoints.find_endpoint(connection, job.id)
        if found is None:
            raise Fault("the service made an endpoint and does not know it", hint="run the same command again")
    _note(journal, job, endpoint=found.resource)
    if not found.deployed:
        operation = _running_deployment(connection, journal, job)
        if not operation:
            say(f"deploying the model: {ONLINE_NODE_HOUR.usd_per_hour:g} USD an hour from now on")
            operation = endpoints.begin_deployment(connection, found.resource, model, job.id).name
            _note(journal, job, endpoint=found.resource, deployment=operation)
        _wait(connection, operation, "deploy the model")
    return found.resource


def _running_deployment(connection: Connection, journal: Journal, job: Job) -> str:
    """The name of a deployment that an earlier process began and that has not ended; "" for none."""
    name = str(journal.find(job.id).details.get(ONLINE, {}).get("deployment", ""))
    try:
        return name if name and not look_at_operation(endpoint_client(connection), name).done else ""
    except NotFound:
        return ""


def _end_deployment(connection: Connection, journal: Journal, job: Job, say: Say) -> bool:
    """A deployment under way can be neither undeployed nor deleted: it is cancelled where it can be, and awaited.
    Whether there was one that has ended, so that what is deployed can be seen."""
    name = str(journal.find(job.id).details.get(ONLINE, {}).get("deployment", ""))
    running = _running_deployment(connection, journal, job)
    if not running:
        return bool(name)
    say("waiting for the deployment to end (Ctrl-C leaves the endpoint there, and billed)")
    endpoints.cancel_quietly(connection, running)
    with suppress(JobFailed, NotFound):
        _wait(connection, running, "deploy the model")
    return True


def _wait(connection: Connection, operation: str, what: str) -> None:
    wait_by_name(endpoint_client(connection), operation, what)


def _ended(connection: Connection, begin: Callable[[], Operation], what: str) -> None:
    """Begin to end something and wait; it may be gone already, or its operation forgotten. Raises Unreachable, so that
    it is tried again, also when the service refuses for now, as it does while another change is under way."""
    try:
        _wait(connection, begin().name, what)
    except NotFound:
        return
    except InputError as error:
        raise Unreachable(error.message) from error


def _unstoppable(say: Say) -> Say:
    """Says it where somebody can hear it: a closed terminal is no reason to leave an endpoint there."""

    def tell(words: str) -> None:
        with suppress(OSError, ValueError):
            say(words)

    return tell


@contextmanager
def _alone(journal: Journal, job: Job) -> Iterator[None]:
    """Nobody else of this working folder uses or removes the job's endpoint meanwhile."""
    busy = UsageError(
        f"another program of this folder is using the endpoint of {job.id}",
        hint="wait until it has ended: it removes the endpoint itself, unless it was told to keep it",
    )
    with only_one(journal.path.parent, f"online-{job.id}", busy=busy):
        yield


def _ask(connection: Connection, served: Served, picture: Picture, data: bytes, classes: int) -> Mapping[str, Any]:
    if endpoints.request_bytes(len(data)) > endpoints.LARGEST_REQUEST_BYTES:
        raise CheckFailed(f"{picture.path} has grown since it was scanned and does not fit into a request")
    for left, pause in zip(range(TRIES - 1, -1, -1), pauses(), strict=False):
        try:
            return endpoints.ask(connection, served.resource, picture, data, classes)
        except Unreachable:
            if not left:
                raise
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _note(journal: Journal, job: Job, **names: str) -> None:
    """Write down what has been asked for, before it is waited for."""
    details = journal.find(job.id).details
    journal.update(journal.find(job.id), details={**details, ONLINE: {**details.get(ONLINE, {}), **names}})


def _forget(journal: Journal, job: Job) -> None:
    now = journal.find(job.id)
    journal.update(now, details={key: value for key, value in now.details.items() if key != ONLINE})
