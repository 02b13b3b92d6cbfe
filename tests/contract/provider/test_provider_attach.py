"""Jobs that were started elsewhere are taken into the journal by their name or by their label, on every cloud."""

from __future__ import annotations

from pathlib import Path

import pytest
from provider_site import Site

from cxr.cloud.jobs.attaching import attach, attach_all
from cxr.cloud.jobs.journal import Job, Journal
from cxr.errors import NotFound, RulerMismatch, UsageError


@pytest.fixture
def elsewhere(tmp_path: Path) -> Journal:
    """A journal that knows nothing."""
    return Journal(tmp_path / "elsewhere" / "jobs.jsonl")


@pytest.mark.slow
def test_a_job_is_attached_by_its_full_name(site: Site, trained: Job, elsewhere: Journal) -> None:
    name = site.provider.parse_name(trained.resource, None)
    taken = attach(site.connection, elsewhere, name, manifest_hash=site.manifest.hash)
    assert (taken.fresh, taken.job.attached) == (True, True)
    same = ("id", "kind", "resource", "manifest_hash", "state", "output_url", "bucket", "prefix", "region", "project")
    assert [getattr(taken.job, field) for field in same] == [getattr(trained, field) for field in same]
    assert taken.job.usd_per_hour == pytest.approx(trained.usd_per_hour)
    assert taken.job.worst_case_usd == pytest.approx(trained.worst_case_usd)
    assert not attach(site.connection, elsewhere, name).fresh
    assert len(elsewhere.jobs()) == 1


def test_a_job_is_attached_by_its_bare_id_and_kind(site: Site, trained: Job, elsewhere: Journal) -> None:
    bare = trained.resource.rpartition("/")[2]
    with pytest.raises(UsageError, match="kind is not said"):
        site.provider.parse_name(bare, None)
    taken = attach(site.connection, elsewhere, site.provider.parse_name(bare, "custom"))
    assert (taken.job.id, taken.job.state) == (trained.id, "SUCCEEDED")
    # Nobody has named the manifest: it is read where the job has its own copy.
    assert taken.job.manifest_hash == site.manifest.hash


def test_a_wrong_kind_is_refused(site: Site, trained: Job, elsewhere: Journal) -> None:
    with pytest.raises(UsageError, match="no tune job but a custom job"):
        site.provider.parse_name(trained.resource, "tune")
    with pytest.raises(UsageError, match="no kind of job 'forest'"):
        site.provider.parse_name(trained.resource.rpartition("/")[2], "forest")
    bare = site.provider.parse_name(trained.resource.rpartition("/")[2], "tune")
    with pytest.raises(NotFound):
        attach(site.connection, elsewhere, bare)
    assert elsewhere.jobs() == []


def test_a_manifest_that_it_was_not_trained_on_cannot_be_claimed(site: Site, trained: Job, elsewhere: Journal) -> None:
    name = site.provider.parse_name(trained.resource, None)
    with pytest.raises(RulerMismatch, match="was trained on the manifest"):
        attach(site.connection, elsewhere, name, manifest_hash="f" * 64, claimed=True)
    assert elsewhere.jobs() == []


def test_all_that_was_launched_from_other_folders_is_found_once(site: Site, trained: Job, elsewhere: Journal) -> None:
    found = attach_all(site.connection, elsewhere, manifest_hash=site.manifest.hash)
    assert trained.id in {one.job.id for one in found}
    assert all(one.fresh and one.job.attached for one in found)
    assert attach_all(site.connection, elsewhere) == []
