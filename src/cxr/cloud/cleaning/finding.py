"""Finding what runs left: by the labels on the service, by the journal, and by the folders in the bucket.

What carries none of cxr's labels and lies in none of its folders is never in a plan, nor what was launched for another
bucket or prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from cxr.cloud.cleaning.at_work import read_at_work
from cxr.cloud.cleaning.found import SORT_OF, Hunt, run_of, start_hunt
from cxr.cloud.cleaning.leftovers import CleanPlan, ImageChoice, Leftover, Scope
from cxr.cloud.cleaning.objects import find_objects
from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Journal
from cxr.cloud.jobs.seen import ENDED, MANIFEST_LABEL
from cxr.cloud.prices.table import PriceTable


def find_leftovers(
    connection: Connection,
    journal: Journal,
    scope: Scope,
    prices: PriceTable,
    *,
    keep_models: bool = False,
    images: ImageChoice | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> CleanPlan:
    """The plan of a clean-up. `images`: the images in the bucket go too, None: they stay.

    Raises what the services' listings raise.
    """
    on_step("asking for jobs and what came of them")
    hunt = start_hunt(connection, journal, scope)
    provider = connection.provider
    leftovers = [*provider.leftovers(hunt, prices, keep_models=keep_models), *_job_leftovers(hunt)]
    on_step(f"listing {connection.base_url}")
    leftovers += find_objects(hunt, keep_models=keep_models, images=images)
    # Last, so that a job that starts while all this is listed is seen.
    at_work = read_at_work(connection, journal)
    leftovers = [one if one.kept else replace(one, kept=at_work.reason(one)) for one in leftovers]
    return CleanPlan(connection.identity(), scope.words, tuple(leftovers), _notes(connection, leftovers))


def _job_leftovers(hunt: Hunt) -> Iterable[Leftover]:
    stays = {kind: hunt.connection.provider.kept_records(kind) for kind in SORT_OF}
    for kind, seen in hunt.found.jobs:
        verdict = hunt.verdict(seen.labels, seen.output_url)
        if verdict is None:
            continue
        run = run_of(seen)
        yield Leftover(
            SORT_OF[kind],
            seen.resource,
            run,
            seen.labels.get(MANIFEST_LABEL, ""),
            detail=seen.state,
            kept=(verdict or stays[kind])
            if seen.state in ENDED
            else f"it is {seen.state}; end it first: cxr cloud cancel {run}",
        )


def _notes(connection: Connection, leftovers: list[Leftover]) -> tuple[str, ...]:
    notes = connection.provider.cleaning_notes(connection, leftovers)
    return (*notes, *sorted({one.basis for one in leftovers if one.basis}))
