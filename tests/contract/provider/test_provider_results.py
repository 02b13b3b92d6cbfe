"""What a finished training leaves: states, log, run time, bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from provider_site import Site

from cxr.bundle import read_bundle
from cxr.cli.cloud.verifying import OneImageScorer
from cxr.cloud.exporting.bringing import ExportOptions, export_job
from cxr.cloud.jobs.journal import Job
from cxr.errors import RulerMismatch, UsageError


def options(site: Site, **changes: object) -> ExportOptions:
    given = ExportOptions(OneImageScorer(), site.settings.state_dir / "exports", manifest_hash=site.manifest.hash)
    return replace(given, **changes)  # type: ignore[arg-type]


def silent(done: int, total: int, what: str) -> None:
    pass


@pytest.mark.slow
def test_a_training_that_ended_well_has_its_times_and_its_place(site: Site, trained: Job) -> None:
    assert (trained.state, trained.error) == ("SUCCEEDED", "")
    assert trained.created <= trained.started <= trained.ended
    assert trained.output_url == f"{site.connection.base_url}/jobs/{trained.id}"
    assert trained.worst_case_usd > 0


def test_the_log_is_in_order_and_its_last_lines_are_its_end(site: Site, trained: Job) -> None:
    lines = list(site.provider.log_lines(site.connection, trained))
    texts = [line.text for line in lines]
    assert [line.at for line in lines] == sorted(line.at for line in lines)
    told = [next(i for i, text in enumerate(texts) if word in text) for word in ("training cnn5", "epoch 1/1", "done")]
    assert told == sorted(told)
    last = site.provider.last_lines(site.connection, trained, 3)
    assert [line.text for line in last] == texts[-3:]
    assert site.provider.last_epoch(site.connection, trained)["epoch"] == 1
    later = list(site.provider.log_lines(site.connection, trained, since=last[-1].at))
    assert {line.entry for line in later} <= {line.entry for line in lines}
    assert len(later) < len(lines)


def test_a_training_comes_home_as_a_bundle_that_knows_manifest_and_cost(
    site: Site, trained: Job, tmp_path: Path
) -> None:
    run = site.provider.run_time(site.connection, trained)
    assert run.hours is not None
    assert 0 < run.hours < 2
    exported = export_job(site.connection, trained, tmp_path / "bundle", options(site), on_progress=silent)
    info = read_bundle(tmp_path / "bundle").info
    assert info.manifest_hash == site.manifest.hash
    assert info.classes == tuple(site.manifest.classes)
    assert info.provenance["recipe"] == "cnn5"
    assert [one.said for one in exported.verified] == ["scored one image"]
    assert info.cost is not None
    assert info.cost["hours"] == pytest.approx(run.hours, abs=0.001)
    assert info.cost["billed"] == site.connection.billed
    assert info.cost["worst_case_usd"] == pytest.approx(trained.worst_case_usd, abs=0.01)
    assert info.cost["actual_usd"] <= info.cost["worst_case_usd"]


def test_a_bundle_in_the_way_is_replaced_only_on_request(site: Site, trained: Job, tmp_path: Path) -> None:
    place = tmp_path / "bundle"
    export_job(site.connection, trained, place, options(site), on_progress=silent)
    before = (place / "bundle.json").stat().st_ino
    with pytest.raises(UsageError, match="is not empty"):
        export_job(site.connection, trained, place, options(site), on_progress=silent)
    assert (place / "bundle.json").stat().st_ino == before
    export_job(site.connection, trained, place, options(site, replace=True), on_progress=silent)
    assert (place / "bundle.json").stat().st_ino != before


def test_a_bundle_of_another_manifest_does_not_come_home(site: Site, trained: Job, tmp_path: Path) -> None:
    with pytest.raises(RulerMismatch):
        export_job(
            site.connection, trained, tmp_path / "bundle", options(site, manifest_hash="f" * 64), on_progress=silent
        )
    assert not (tmp_path / "bundle").exists()


def test_what_the_service_no_longer_knows_is_gone(site: Site, trained: Job) -> None:
    fork = site.beside("gone", prefix=site.connection.prefix)
    missing = trained.resource[:-1] + ("0" if trained.resource[-1] != "0" else "1")
    job = fork.journal.add(replace(trained, id="custom-0000000000", resource=missing, state="RUNNING", ended=""))
    now = fork.look(job)
    assert (now.state, now.finished) == ("GONE", True)
