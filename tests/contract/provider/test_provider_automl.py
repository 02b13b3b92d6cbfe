"""AutoML and what its model says of the test images, on every cloud. On this machine a stand-in is trained instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from provider_place import PREDICTING
from provider_site import Site

from cxr.bundle import ModelFormat, Origin, read_bundle
from cxr.cli.cloud.verifying import OneImageScorer
from cxr.cloud.exporting.bringing import ExportOptions, export_job
from cxr.cloud.jobs.attempts import newest_attempt
from cxr.cloud.jobs.journal import Job
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.provider import AutoMLWishes, Feature, LaunchOptions
from cxr.errors import UsageError


def automl(site: Site, wishes: AutoMLWishes) -> Job:
    """An AutoML training that has ended."""
    options = site.provider.automl_options(wishes)
    plan = site.provider.plan_automl(site.connection, site.manifest, options, prices=None)
    job = site.ended(site.provider.launch(site.journal, plan, site.manifest, options, LaunchOptions()).job)
    assert job.state == "SUCCEEDED", job.error
    again = site.provider.launch(site.journal, plan, site.manifest, options, LaunchOptions())
    assert not again.fresh
    assert len(site.served(job.id, JobKind.AUTOML)) == 1
    return job


@pytest.mark.slow
def test_a_model_comes_home_or_the_way_out_is_told(site: Site, tmp_path: Path) -> None:
    job = automl(site, AutoMLWishes())
    options = ExportOptions(OneImageScorer(), tmp_path / "exports", manifest_hash=site.manifest.hash)

    def export() -> None:
        export_job(site.connection, job, tmp_path / "bundle", options, on_progress=lambda done, total, what: None)

    if Feature.AUTOML_EXPORTS in site.provider.lacks:
        with pytest.raises(UsageError, match=f"{site.provider.name} has no exports") as refused:
            export()
        assert "--predict batch" in str(refused.value.hint)
        assert not (tmp_path / "bundle").exists()
        return
    export()
    info = read_bundle(tmp_path / "bundle").info
    assert (info.origin, info.manifest_hash) == (Origin.AUTOML, site.manifest.hash)
    assert info.stand_in != site.connection.billed
    assert info.cost is not None
    assert info.cost["hours"] > 0


@pytest.mark.slow
def test_a_batch_scores_every_test_image_and_says_that_a_stand_in_did(site: Site) -> None:
    job = automl(site, PREDICTING[site.provider.name])
    model = site.provider.predicting_model(site.connection, job, site.manifest.hash)
    assert model.in_batches
    assert model.stand_in != site.connection.billed

    words = ("cloud", "evaluate", job.id, "--predict", "batch", "--manifest", "manifest.csv", "--yes", "--json")
    ended = site.cxr(*words, "--out", "predicted")
    assert ended.code == 0, ended.err
    said = ended.data
    tests = list(site.manifest.split("test")["path"])
    assert (said["images"], said["way"], said["manifest_hash"]) == (len(tests), "batch", site.manifest.hash)
    assert said["stand_in"] == model.stand_in
    assert ("stand-in" in ended.err) == model.stand_in
    info = read_bundle(site.folder / "predicted").info
    assert (info.format, info.stand_in) == (ModelFormat.PREDICTIONS, model.stand_in)

    batch = site.journal.find(said["provenance"]["batch_job"])
    assert (batch.kind, batch.state) == (JobKind.BATCH, "SUCCEEDED")
    scores = site.provider.read_scores(site.connection, batch, site.manifest)
    assert set(scores.rows) == set(tests)
    assert scores.classes == tuple(site.manifest.classes)
    assert all(sum(row) == pytest.approx(1, abs=0.01) for row in scores.rows.values())
    plan = site.provider.plan_batch(site.connection, site.manifest, model.resource, job.id)
    assert newest_attempt(site.connection, site.journal, plan).job_id == batch.id
    assert len(site.served(batch.id, JobKind.BATCH)) == 1
