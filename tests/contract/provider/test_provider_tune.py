"""Tuning: trials that really run, the best of which comes home, on every cloud."""

from __future__ import annotations

from pathlib import Path

import pytest
from provider_site import Site

from cxr.bundle import read_bundle
from cxr.cli.cloud.verifying import OneImageScorer
from cxr.cloud.exporting.bringing import ExportOptions, export_job
from cxr.cloud.jobs.seen import TRIAL_HOURS
from cxr.cloud.plans.launch import JobKind

pytestmark = pytest.mark.slow


def test_the_best_of_two_trials_comes_home(site: Site, tmp_path: Path) -> None:
    launched = site.launch_tuning(trials=2)
    job = site.ended(launched.job)
    assert (job.kind, job.state, job.error) == (JobKind.TUNE, "SUCCEEDED", "")
    trials = site.provider.trials(site.connection, job)
    assert [trial.state for trial in trials] == ["SUCCEEDED", "SUCCEEDED"]
    values = [trial.value for trial in trials if trial.value is not None]
    assert values == sorted(values, reverse=True)
    assert len(values) == 2
    rates = [float(trial.parameters["learning-rate"]) for trial in trials]
    assert all(0.0001 <= rate <= 0.01 for rate in rates)
    assert len({trial.id for trial in trials}) == 2
    best = job.progress["best"]
    assert str(best["trial"]) == trials[0].id
    assert best["value"] == pytest.approx(values[0])

    run = site.provider.run_time(site.connection, job)
    assert run.unit == TRIAL_HOURS
    assert run.hours is not None
    assert run.hours > 0
    own = {line.trial for line in site.provider.log_lines(site.connection, job)}
    assert {trial.id for trial in trials} <= own
    of_one = list(site.provider.log_lines(site.connection, job, trial=trials[0].id))
    assert of_one
    assert {line.trial for line in of_one} == {trials[0].id}

    options = ExportOptions(OneImageScorer(), tmp_path / "exports", manifest_hash=site.manifest.hash)
    export_job(site.connection, job, tmp_path / "bundle", options, on_progress=lambda done, total, what: None)
    info = read_bundle(tmp_path / "bundle").info
    assert info.manifest_hash == site.manifest.hash
    assert str(info.provenance["trial"]) == trials[0].id
    assert info.provenance["validation_auc"] == pytest.approx(values[0], abs=1e-3)
    assert not site.launch_tuning(trials=2).fresh
    assert len(site.served(job.id, JobKind.TUNE)) == 1
