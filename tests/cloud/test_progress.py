"""What is said of a job's time and cost: bounds are called bounds, and no cost is above the worst case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr.cloud.jobs.journal import Job
from cxr.cloud.jobs.progress import clock_text, outlook, status_words
from cxr.cloud.plans.launch import JobKind
from cxr.settings import Target

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def job(kind: JobKind = JobKind.CUSTOM, state: str = "RUNNING", **changes: Any) -> Job:
    plain = Job(f"{kind}-1", kind, Target.GCP, "p", "us-central1", "b", "cxr", "f" * 64, "")
    times = {"created": START.isoformat(), "started": START.isoformat()}
    return replace(plain, **{"state": state, "usd_per_hour": 2.0, "worst_case_usd": 8.0, **times, **changes})


def test_a_timeout_is_only_a_bound_and_an_epoch_an_estimate() -> None:
    asked = job(details={"timeout_hours": 4.0})
    seen = outlook(asked, START + HOUR)
    assert (seen.left_s, seen.left_at_most, seen.cost_usd) == (3 * 3600, True, 2.0)
    told = {"epoch": 5, "epochs": 20, "measured_at": (START + HOUR / 2).isoformat()}
    seen = outlook(replace(asked, progress=told), START + HOUR)
    assert (seen.left_s, seen.left_at_most) == (3600, False)  # two hours at that pace, one has passed
    assert "about 3:00:00 left, epoch 5 of 20, 2.00 USD so far (at most 8.00 USD)" in status_words(
        replace(asked, progress={"epoch": 5, "epochs": 20}), START + HOUR
    )


@pytest.mark.parametrize(("model_type", "hours"), [("cloud", 1.0), ("mobile-versatile", 8.0)])
def test_an_automl_budget_is_shared_by_the_nodes_of_its_model_type(model_type: str, hours: float) -> None:
    details = {"budget_milli_node_hours": 8000, "model_type": model_type}
    seen = outlook(job(JobKind.AUTOML, details=details), START)
    assert (seen.left_s, seen.left_at_most) == (hours * 3600, True)
    assert seen.cost_usd is None  # only the service knows how many nodes have worked


def test_an_automl_job_costs_the_node_hours_that_the_service_tells_and_nothing_when_it_failed() -> None:
    told = {"milli_node_hours": 1500}
    assert outlook(job(JobKind.AUTOML, "SUCCEEDED", progress=told), START).cost_usd == 3.0
    assert outlook(job(JobKind.AUTOML, "FAILED", progress=told), START).cost_usd == 0.0
    assert outlook(job(JobKind.AUTOML, "CANCELLED", progress=told), START).cost_usd == 3.0


@pytest.mark.parametrize("target", [Target.AWS, Target.AWS_LOCAL])
def test_what_a_failed_autopilot_job_cost_is_not_known(target: Target) -> None:
    failed = job(JobKind.AUTOML, "FAILED", on=target)
    assert outlook(failed, START).cost_usd is None
    assert "USD" not in status_words(failed, START)


def test_trials_cost_what_each_of_them_ran() -> None:
    told = {
        "trials_done": 2,
        "trials_total": 4,
        "trial_hours": 1.0,
        "running_since": [(START + HOUR / 2).isoformat()] * 2,
    }
    seen = outlook(job(JobKind.TUNE, progress=told), START + HOUR)
    assert seen.cost_usd == pytest.approx((1.0 + 2 * 0.5) * 2.0)
    assert (seen.left_s, seen.left_at_most) == (3600.0, False)


def test_trials_of_which_only_the_hours_are_known_cost_those() -> None:
    assert outlook(job(JobKind.TUNE, "SUCCEEDED", progress={"trial_hours": 1.5}), START).cost_usd == 3.0


def test_what_is_not_known_is_left_out() -> None:
    waiting = job(JobKind.BATCH, "PENDING", started="", usd_per_hour=0.0, worst_case_usd=0.0)
    assert status_words(waiting, START + timedelta(seconds=90)) == "PENDING, asked for 1:30 ago"


def test_the_emulator_asks_for_nothing() -> None:
    assert "nothing here; on Google 2.00 USD so far" in status_words(job(on=Target.EMULATOR), START + HOUR)


@given(hours=st.floats(0, 1000), price=st.floats(0.01, 100), worst=st.floats(0.01, 1000))
def test_the_cost_so_far_is_never_above_the_worst_case(hours: float, price: float, worst: float) -> None:
    seen = outlook(job(usd_per_hour=price, worst_case_usd=worst), START + hours * HOUR)
    assert seen.cost_usd is not None
    assert 0 <= seen.cost_usd <= worst


def test_clocks_of_another_zone_and_of_the_past_do_no_harm() -> None:
    assert outlook(job(), START - HOUR).elapsed_s == 0
    elsewhere = job(started=(START + timedelta(hours=2)).isoformat().replace("+00:00", "+02:00"))
    assert outlook(elsewhere, START + HOUR).elapsed_s == 3600


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (61, "1:01"), (3600, "1:00:00"), (172_800, "2 days"), (-5, "0:00")]
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text
