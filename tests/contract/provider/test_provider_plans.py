"""Plans: their price, their identity, and the way through a file, on every cloud."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from provider_site import SPACE, Site

from cxr.cloud.plans.files import check_same, read_plan, write_plan
from cxr.cloud.plans.launch import JobKind, LaunchPlan
from cxr.cloud.provider import AutoMLWishes
from cxr.cloud.trainer.job import TuneOptions
from cxr.errors import CheckFailed, UsageError

KINDS = [JobKind.CUSTOM, JobKind.TUNE, JobKind.AUTOML]


def planned(site: Site, kind: JobKind, *, seed: int = 7, attempt: int = 1) -> tuple[LaunchPlan, Any]:
    """A plan of a kind and the options that it was made of."""
    provider, connection = site.provider, site.connection
    custom = site.options(seed)
    if kind is JobKind.CUSTOM:
        return site.plan(custom, attempt=attempt), custom
    if kind is JobKind.TUNE:
        options: Any = TuneOptions(custom, SPACE, trials=2, parallel=1)
        return provider.plan_tune(connection, site.manifest, options, prices=None, attempt=attempt), options
    options = provider.automl_options(AutoMLWishes())
    return provider.plan_automl(connection, site.manifest, options, prices=None, attempt=attempt), options


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_plan_is_the_same_job_and_another_attempt_is_another(site: Site, kind: JobKind) -> None:
    first, second = planned(site, kind)[0], planned(site, kind)[0]
    assert first.job_id == second.job_id
    assert first.job_id.startswith(f"{kind}-")
    assert planned(site, kind, attempt=2)[0].job_id != first.job_id


def test_whatever_decides_the_job_is_in_its_name(site: Site) -> None:
    one = site.plan(site.options(7))
    others = [
        site.plan(site.options(8)),
        site.plan(site.options(7, epochs=2)),
        site.plan(site.options(7, overrides=("batch_size=16",))),
        site.beside("named").plan(site.options(7)),
    ]
    assert len({one.job_id, *(other.job_id for other in others)}) == 5
    # The server's port is no part of the place.
    moved = replace(site, connection=replace(site.connection, endpoint="http://127.0.0.1:1"))
    assert moved.plan(site.options(7)).job_id == one.job_id


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_knows_its_worst_cost_and_where_the_price_comes_from(site: Site, kind: JobKind) -> None:
    plan, options = planned(site, kind)
    cost = plan.cost
    assert 0 < cost.expected_usd <= cost.worst_usd
    assert cost.worst_usd == pytest.approx(cost.worst_hours * cost.price.usd_per_hour)
    if kind is not JobKind.AUTOML:
        trial = options.trial if kind is JobKind.TUNE else options
        # A service may bill a job for a while after its timeout; that is the same for a job that is attached.
        assert trial.timeout_hours <= cost.worst_hours / (2 if kind is JobKind.TUNE else 1) < trial.timeout_hours + 0.1
        assert cost.worst_hours == pytest.approx(site.provider.worst_hours(kind, plan.request))
    rows = dict(plan.rows())
    assert f"at most {cost.worst_usd:,.2f} USD" in rows["cost"]
    assert rows["price from"] == cost.price.source != ""
    assert f"read {cost.price.read_on}" in rows["cost"]
    assert ("nothing here; on " + site.provider.name in rows["cost"]) != site.connection.billed
    assert plan.leaves_behind


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_plan_is_restored_and_is_the_same_job(site: Site, kind: JobKind, tmp_path: Path) -> None:
    plan, options = planned(site, kind)
    write_plan(plan, {"manifest": "manifest.csv"}, tmp_path / "plan.json")
    saved = read_plan(tmp_path / "plan.json", kind)
    restored = site.provider.restore(kind, saved.request, "none")
    assert restored == options
    make = {
        JobKind.CUSTOM: site.provider.plan_custom,
        JobKind.TUNE: site.provider.plan_tune,
        JobKind.AUTOML: site.provider.plan_automl,
    }[kind]
    again = make(site.connection, site.manifest, restored, prices=None, attempt=saved.attempt)  # type: ignore[operator]
    check_same(saved, again)
    assert again.job_id == plan.job_id == saved.job
    dearer = replace(again, cost=replace(again.cost, worst_usd=again.cost.worst_usd + 1))
    with pytest.raises(CheckFailed, match="it cost at most"):
        check_same(saved, dearer)
    other = next(one for one in KINDS if one is not kind)
    with pytest.raises(UsageError, match=f"the plan of a {kind} job"):
        read_plan(tmp_path / "plan.json", other)


@pytest.mark.slow
def test_what_would_cost_more_than_is_allowed_is_not_launched(site: Site) -> None:
    train = ("cloud", "train", "custom", "--recipe", "cnn5", "--epochs", "1", "--seed", "99", "--json")
    shown = site.cxr(*train, "--dry-run")
    # The command line and the library name the same job.
    assert shown.data["job"] == site.plan(site.options(99)).job_id
    assert shown.data["where"] == site.connection.identity()
    worst = shown.data["cost"]["worst_usd"]
    refused = site.cxr(*train, "--yes", "--max-cost", "0.01")
    assert (refused.code, refused.out) == (3, "")
    words = " ".join(refused.err.split())
    assert f"this may cost {worst:,.2f} USD, more than --max-cost 0.01" in words
    assert "a smaller budget, timeout, machine or number of trials" in words
    assert site.served(shown.data["job"]) == []
