"""What a job cost, for its bundle: the worst case that was planned, what was expected, and what the service reports."""

from __future__ import annotations

from typing import Any

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Job


def cost_of(connection: Connection, job: Job) -> dict[str, Any]:
    """USD: worst case and expectation as planned, `actual_usd` as run time (or node hours) times list price, which is a
    bound for spot capacity (`actual_is_at_most`). None where it is not known; 0 where nothing is billed (the emulator),
    with the hours all the same."""
    run = connection.provider.run_time(connection, job)
    price = job.usd_per_hour
    actual = run.hours * price if run.hours is not None and price else None
    return {
        "worst_case_usd": round(job.worst_case_usd, 2) if job.worst_case_usd else None,
        "expected_usd": round(job.expected_usd, 2) if job.expected_usd else None,
        "actual_usd": (round(actual, 4) if actual is not None else None) if connection.billed else 0.0,
        # The list price: what spot capacity cost is on the bill alone.
        "actual_is_at_most": bool(job.details.get("spot")),
        "hours": round(run.hours, 4) if run.hours is not None else None,
        "hours_are": run.unit,
        "usd_per_hour": price or None,
        "billed": connection.billed,
    }
