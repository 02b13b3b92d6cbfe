"""Uploads and checks before a launch, on every cloud."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from provider_site import Site

from cxr.cloud.jobs.seen import RUN_LABEL
from cxr.cloud.plans.launch import JobKind
from cxr.cloud.preflight.findings import Finding, Level
from cxr.cloud.preflight.run import preflight
from cxr.cloud.preflight.subject import Purpose, Subject
from cxr.cloud.uploading import destination_of, plan_manifest_upload
from cxr.errors import InputError, UsageError

#: Kinds that the service lists.
SORTS = (JobKind.CUSTOM, JobKind.TUNE, JobKind.AUTOML, JobKind.BATCH)


def new_bucket() -> str:
    return f"cxr-{uuid.uuid4().hex[:12]}"


def test_an_upload_makes_a_private_bucket_in_the_jobs_region_and_is_nothing_the_second_time(scripted: Site) -> None:
    empty = scripted.beside("first", bucket=new_bucket())
    first = empty.upload()
    assert (first.make_bucket, first.totals.to_send.files) == (True, len(scripted.manifest.frame))
    bucket = empty.provider.find_bucket(empty.connection)
    assert bucket.location is not None
    assert bucket.location.lower() == empty.connection.region
    assert bucket.private
    assert not empty.provider.bucket_is_public(empty.connection, bucket)
    second = empty.upload()
    assert second.nothing_to_send
    assert second.warnings == ()
    stored = {info.name for info in empty.connection.store("images").list()}
    assert stored == set(scripted.manifest.frame["path"])


def test_an_object_that_was_changed_there_is_sent_again_and_alone(site: Site) -> None:
    other = site.beside("changed")
    other.upload()
    path = str(site.manifest.frame["path"].iloc[0])
    images = other.connection.store("images")
    was = images.get_bytes(path)
    images.replace_bytes(path, b"not that image")
    again = other.upload()
    assert (again.totals.changed.files, again.totals.new.files, again.totals.to_send.files) == (1, 0, 1)
    assert images.get_bytes(path) == was


def test_a_launch_without_its_images_leaves_no_job(site: Site) -> None:
    other = site.beside("nothing-sent")
    with pytest.raises(InputError, match=f"{len(site.manifest.frame)} images of the manifest are not at") as raised:
        other.launch(1)
    assert "cxr cloud upload" in str(raised.value.hint)
    assert other.journal.jobs() == []


def test_a_bucket_in_another_region_is_refused_by_upload_and_launch(scripted: Site, tmp_path: Path) -> None:
    assert scripted.cloud is not None
    elsewhere = scripted.beside("region", region=scripted.cloud.other_region, prefix=scripted.connection.prefix)
    with pytest.raises(UsageError, match=f"the jobs run in {scripted.cloud.other_region}"):
        plan_manifest_upload(destination_of(elsewhere.connection), scripted.manifest, tmp_path / "plan.jsonl")
    with pytest.raises(UsageError, match=f"the jobs run in {scripted.cloud.other_region}"):
        elsewhere.launch(1)
    assert elsewhere.journal.jobs() == []


def checked(site: Site, purpose: Purpose = Purpose.CUSTOM) -> list[Finding]:
    return preflight(site.connection, Subject(purpose, site.manifest))


@pytest.mark.parametrize("purpose", [Purpose.CUSTOM, Purpose.TUNE, Purpose.AUTOML, Purpose.UPLOAD, Purpose.ANY])
def test_every_check_says_something_and_an_uploaded_manifest_has_no_error(site: Site, purpose: Purpose) -> None:
    findings = checked(site, purpose)
    asked = [check.id for check in site.provider.checks() if purpose in check.purposes]
    assert list(dict.fromkeys(finding.check for finding in findings)) == asked
    assert [finding for finding in findings if finding.level is Level.ERROR] == []
    assert all(finding.cause for finding in findings)


def test_checking_changes_nothing(site: Site) -> None:
    def truth() -> tuple[set[str], list[str], str]:
        objects = {f"{info.name} {info.version}" for info in site.connection.store().list()}
        jobs = [seen.labels[RUN_LABEL] for _, seen in site.provider.labelled_jobs(site.connection, SORTS)]
        return objects, sorted(jobs), str(site.provider.find_bucket(site.connection))

    before = truth()
    checked(site)
    assert truth() == before


def test_a_bucket_that_is_not_there_is_an_error_with_the_command_that_makes_it(site: Site) -> None:
    nowhere = site.beside("nowhere", bucket=new_bucket())
    findings = checked(nowhere)
    (missing,) = [finding for finding in findings if finding.check == "bucket"]
    assert (missing.level, missing.resource) == (Level.ERROR, nowhere.connection.bucket_url)
    assert "cxr cloud upload" in missing.next
    assert nowhere.connection.bucket in missing.next
    assert Level.SKIPPED in {finding.level for finding in findings if finding.check == "images"}
    assert nowhere.provider.find_bucket(nowhere.connection).location is None
