"""The real trainer in each cloud's job: its wheel is installed, it trains, and its model comes home and scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from provider_place import start
from provider_site import Site

from cxr.bundle import ModelFormat, Origin, read_bundle
from cxr.cli.cloud.verifying import OneImageScorer
from cxr.cloud.connection import connect
from cxr.cloud.exporting.bringing import ExportOptions, export_job

pytestmark = pytest.mark.slow


@pytest.fixture
def real(site: Site, tmp_path: Path) -> Iterator[Site]:
    """A site whose jobs run what they are given: on this machine a server without the tests' image."""
    if site.cloud is None:
        yield site
        return
    settings = replace(site.settings, state_dir=tmp_path / ".cxr")
    start(site.cloud, settings, tiny=False)
    try:
        opened = Site(tmp_path, settings, connect(settings), site.manifest, site.cloud)
        opened.upload()
        yield opened
    finally:
        site.cloud.process.stop(site.cloud.state(settings))


def test_one_epoch_is_trained_there_and_comes_home(real: Site, tmp_path: Path) -> None:
    job = real.ended(real.launch(7).job)
    assert job.state == "SUCCEEDED", job.error
    options = ExportOptions(OneImageScorer(), tmp_path / "exports", manifest_hash=real.manifest.hash)
    exported = export_job(
        real.connection, job, tmp_path / "bundle", options, on_progress=lambda done, total, what: None
    )
    info = read_bundle(tmp_path / "bundle").info
    assert (info.format, info.origin) == (ModelFormat.SAVED_MODEL, Origin.CUSTOM_JOB)
    assert info.manifest_hash == real.manifest.hash
    assert info.provenance["epochs_run"] == 1
    assert 0 <= info.provenance["validation_auc"] <= 1
    assert exported.verified[0].probabilities is not None
    assert sum(exported.verified[0].probabilities) == pytest.approx(1, abs=0.01)
