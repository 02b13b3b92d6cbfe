"""Cleaning up: what runs left, nothing else, and never what is at work; on every cloud."""

from __future__ import annotations

import pytest
from provider_site import ENDLESS, Site

from cxr.cloud.cleaning.finding import find_leftovers
from cxr.cloud.cleaning.leftovers import CleanPlan, ImageChoice, Leftover, Scope, Sort
from cxr.cloud.cleaning.removing import Removal, remove_all
from cxr.cloud.jobs.asking import cancel_job
from cxr.cloud.jobs.attempts import latest_attempt
from cxr.cloud.jobs.journal import Job
from cxr.cloud.prices.table import price_table


def leftovers(site: Site, *, images: bool = False) -> CleanPlan:
    prices = price_table(None, site.provider.prices)
    choice = ImageChoice() if images else None
    return find_leftovers(site.connection, site.journal, Scope(everything=True), prices, images=choice)


def remove(site: Site, plan: CleanPlan) -> list[Removal]:
    done = remove_all(site.connection, site.journal, plan, on_progress=lambda done, total, what: None)
    assert [one.failures for one in done if one.failures] == []
    return done


def names(found: list[Leftover]) -> set[str]:
    return {one.name for one in found}


@pytest.mark.slow
def test_what_runs_left_is_deleted_and_nothing_else(site: Site, trained: Job) -> None:
    place = site.beside("cleaned")
    place.upload()
    done = place.ended(place.launch(61).job)
    assert done.succeeded, done.error
    at_work = place.launch(ENDLESS).job
    place.until(at_work, lambda now: now.state == "RUNNING")
    before = {info.name for info in site.connection.store().list()}
    mine = {info.name for info in place.connection.store().list()}

    plan = leftovers(place, images=True)
    assert {info.name for info in place.connection.store().list()} == mine
    doomed, kept = names(plan.doomed), names(plan.kept)
    base = place.connection.base_url
    assert f"{base}/jobs/{done.id}" in doomed
    assert f"{base}/jobs/{at_work.id}" in kept
    assert f"{base}/images" in kept
    why = next(one.kept for one in plan.kept if one.name == f"{base}/jobs/{at_work.id}")
    assert f"cxr cloud cancel {at_work.id}" in why
    elsewhere = [one for one in plan.leftovers if one.run == trained.id or site.connection.base_url + "/" in one.name]
    assert elsewhere == []
    assert trained.resource not in doomed | kept

    remove(place, plan)
    assert place.journal.find(done.id).state == "GONE"
    assert place.journal.find(done.id).cleaned
    assert not place.journal.find(at_work.id).finished
    left = {info.name for info in place.connection.store().list()}
    assert any(name.startswith(f"jobs/{at_work.id}/") for name in left)
    assert set(place.manifest.frame["path"]) <= {name.removeprefix("images/") for name in left}
    assert not any(name.startswith(f"jobs/{done.id}/") for name in left)

    cancel_job(place.connection, at_work)
    assert place.ended(at_work).state == "CANCELLED"
    remove(place, leftovers(place, images=True))
    assert list(place.connection.store().list()) == []
    assert leftovers(place, images=True).doomed == []
    records = {one.sort for one in leftovers(place).kept}
    assert records <= {Sort.CUSTOM}
    # Another prefix of the same bucket has lost nothing.
    assert before <= {info.name for info in site.connection.store().list()}
    assert site.look(trained).succeeded


@pytest.mark.slow
def test_a_plan_whose_result_was_cleaned_up_is_launched_anew(site: Site) -> None:
    place = site.beside("anew")
    place.upload()
    first = place.ended(place.launch(62).job)
    remove(place, leftovers(place))
    assert place.journal.find(first.id).state == "GONE"
    options = place.options(62)
    plan = latest_attempt(place.connection, place.journal, place.plan(options), again=False)
    assert plan.attempt == 2
    launched = place.launch(62, attempt=2)
    assert launched.fresh
    assert place.ended(launched.job).succeeded
