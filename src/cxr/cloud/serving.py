"""Online predictions with an endpoint that is there for as long as it is needed: made, used, removed.

Whatever is made is in the journal, under the training job's `details`, before it is waited for, and carries the label
`cxr-run`: a process that dies leaves an endpoint that the next one finds, uses and removes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.journal import Job, Journal
from cxr.cloud.plans import PLACE_LABEL, manifest_label, place_label
from cxr.cloud.prediction_prices import ONLINE_NODE_HOUR
from cxr.cloud.scores import Picture, Scores
from cxr.cloud.vertex import endpoints
from cxr.cloud.vertex.clients import endpoint_client
from cxr.cloud.vertex.long_running import look_at_operation, wait_by_name
from cxr.cloud.waiting import pauses
from cxr.errors import CheckFailed, CxrError, Fault, JobFailed, NotFound, Unreachable

#: The key of a job's `details` under which its endpoint stands while there is one.
ONLINE = "online"
#: Requests under way at once; and how often one is tried.
WIDTH = 4
TRIES = 6

Say = Callable[[str], None]
Progress = Callable[[int, int, str], None]


class StillThere(Fault):
    """An endpoint could not be removed and goes on costing."""

    headline = "still billed"


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
    connection: Connection, journal: Journal, job: Job, model: str, manifest_hash: str, *, keep: bool, say: Say
) -> Iterator[Served]:
    """The model of a training job behind an endpoint, which is removed at the end of the block, however it ends, unless
    `keep` and all went well.

    Raises StillThere when it could not be removed, with what stopped the block, if anything did, as its cause.
    """
    try:
        yield Served(_deployed(connection, journal, job, model, manifest_hash, say))
    except BaseException:
        say("removing the endpoint")
        remove_endpoint(connection, journal, job, say=say)
        raise
    if keep:
        return
    say("removing the endpoint")
    remove_endpoint(connection, journal, job, say=say)


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


def remove_endpoint(connection: Connection, journal: Journal, job: Job, *, say: Say) -> bool:
    """Take everything off the job's endpoint and delete it; whether there was one. Raises StillThere when that fails,
    naming what stays and what it costs."""
    resource = ""
    try:
        _end_deployment(connection, journal, job, say)
        found = endpoint_of(connection, journal, job)
        if found is None:
            _forget(journal, job)
            return False
        resource = found.resource
        for deployed in found.deployed:
            _wait(connection, endpoints.begin_undeployment(connection, resource, deployed).name, "undeploy the model")
        _wait(connection, endpoints.begin_deletion(connection, resource).name, "delete the endpoint")
    except (CxrError, KeyboardInterrupt) as error:
        reason = error.message if isinstance(error, CxrError) else "stopped by Ctrl-C"
        named = resource or f"an endpoint of {job.id}"
        raise StillThere(
            f"{named} may still be there, for {ONLINE_NODE_HOUR.usd_per_hour:g} USD an hour: {reason}",
            hint=f"cxr cloud evaluate {job.id} --remove-endpoint",
        ) from error
    _forget(journal, job)
    return True


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


def _end_deployment(connection: Connection, journal: Journal, job: Job, say: Say) -> None:
    """A deployment under way can be neither undeployed nor deleted: it is cancelled where it can be, and awaited."""
    running = _running_deployment(connection, journal, job)
    if not running:
        return
    say("waiting for the deployment to end (Ctrl-C leaves the endpoint there, and billed)")
    endpoints.cancel_quietly(connection, running)
    try:
        _wait(connection, running, "deploy the model")
    except (JobFailed, NotFound):
        return


def _wait(connection: Connection, operation: str, what: str) -> None:
    wait_by_name(endpoint_client(connection), operation, what)


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
