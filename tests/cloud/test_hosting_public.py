"""A page on a bucket of the emulator: what becomes public, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')
pytest.importorskip("httptools", reason='needs the extra: pip install "cxr[gcp]"')

from gcs_page import REGION, browse, configure, dormant, grant, manifest_of, origin, plan, put_plain
from hosted_page import FILES

from cxr.cloud.connection import connect
from cxr.cloud.hosting.applying import host_page, remove_page
from cxr.cloud.hosting.gcs_host import GcsHost
from cxr.cloud.hosting.removal import plan_removal
from cxr.cloud.uploading import destination_of, plan_manifest_upload
from cxr.errors import UsageError
from cxr.settings import Settings
from cxr.webapp.headers import cache_control, content_type


def test_a_public_page_is_read_by_a_browser_as_it_was_built(host: GcsHost, page: Path) -> None:
    done = host_page(plan(host, page, public=True))
    assert done.addresses[0].url == f"{origin(host)}page/index.html"
    for name, data in FILES.items():
        answer = browse(host, f"page/{name}")
        assert answer.content == data, name
        assert answer.headers["Content-Type"] == content_type(name)
        assert answer.headers["Cache-Control"] == cache_control(name)
    assert browse(host, "page/index.html").headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in browse(host, "page/assets/known-3e7a9b10.bin").headers
    found = host.look()
    assert found is not None
    assert found.before["main_page"] == "index.html"
    assert plan(host, page, public=True).nothing_to_do


def test_a_bucket_with_anything_else_is_never_made_public(host: GcsHost, page: Path) -> None:
    host_page(plan(host, page))
    put_plain(host, "cxr/images/person1_bacteria_1.jpeg")
    with pytest.raises(UsageError, match=r"person1_bacteria_1.jpeg"):
        plan(host, page, public=True)
    assert browse(host, "page/index.html").status_code == 403


def test_what_lies_beside_the_prefix_counts_as_something_else(host: GcsHost, page: Path) -> None:
    host_page(plan(host, page, "page/"))
    with pytest.raises(UsageError, match="page/"):
        plan(host, page, "other/", public=True)


def test_nothing_is_sent_to_a_public_bucket_unless_that_is_asked_for(host: GcsHost, page: Path) -> None:
    host_page(plan(host, page, public=True))
    with pytest.raises(UsageError, match="everybody could read"):
        plan(host, page)


def test_the_plan_tells_what_becomes_public(host: GcsHost, page: Path) -> None:
    said = " ".join(plan(host, page, public=True).exposure.sentences())
    for words in ("11 files", "the model tiny", "3 training images' files", "model card", "nothing of the images"):
        assert words in said
    assert dict(plan(host, page).rows())["price"].startswith("nothing here; on the service less than 0.01 USD a month")


def test_images_are_not_sent_to_a_public_bucket(
    host: GcsHost, page: Path, local_cloud: Settings, tmp_path: Path
) -> None:
    host_page(plan(host, page, public=True))
    manifest = manifest_of(tmp_path / "images")
    there = destination_of(connect(replace(local_cloud, bucket=host.identity()["bucket"])))
    with pytest.raises(UsageError, match="everybody could read the images"):
        plan_manifest_upload(there, manifest, tmp_path / "plan.jsonl")


@pytest.mark.parametrize(
    ("member", "role"),
    [
        ("allUsers", "roles/storage.objectAdmin"),
        ("allAuthenticatedUsers", "roles/storage.objectViewer"),
        ("allUsers", "roles/storage.legacyBucketReader"),
    ],
    ids=["writers", "signed-in", "listing"],
)
def test_grants_that_prevention_keeps_asleep_are_not_woken(host: GcsHost, page: Path, member: str, role: str) -> None:
    dormant(host, member, role)
    host_page(plan(host, page))  # private, it may lie there
    with pytest.raises(UsageError, match=f"{member} has {role}"):
        plan(host, page, public=True)
    found = host.look()
    assert found is not None
    assert found.prevented


def test_a_grant_that_was_there_before_is_there_afterwards(host: GcsHost, page: Path) -> None:
    dormant(host, "allUsers", "roles/storage.objectViewer")
    host_page(plan(host, page, public=True))
    assert browse(host, "page/index.html").status_code == 200
    remove_page(plan_removal(host, "page/"))
    bindings = host._bucket.get_iam_policy(requested_policy_version=3).bindings
    assert [one["role"] for one in bindings if "allUsers" in one["members"]] == ["roles/storage.objectViewer"]
    found = host.look()
    assert found is not None
    assert (found.prevented, found.public) == (True, False)


@pytest.mark.parametrize("meanwhile", ["image", "grant"])
def test_what_changes_while_the_user_is_asked_keeps_the_bucket_private(
    host: GcsHost, page: Path, meanwhile: str
) -> None:
    dormant(host, "user:somebody@example.org", "roles/storage.objectViewer")
    asked = plan(host, page, public=True)
    if meanwhile == "image":
        put_plain(host, "cxr/images/person1.jpeg")
    else:
        configure(host, prevention="inherited")
        grant(host, "allUsers", "roles/storage.objectAdmin")
        configure(host, prevention="enforced")
    with pytest.raises(UsageError, match=r"person1\.jpeg|objectAdmin"):
        host_page(asked)
    found = host.look()
    assert found is not None
    assert (found.prevented, found.public) == (True, False)
    assert not plan_removal(host, "page/").withdraw  # it was never made public


@pytest.mark.parametrize(
    ("prevention", "public", "refused"),
    [("enforced", False, False), ("enforced", True, True), ("inherited", False, True), ("inherited", True, True)],
)
def test_access_lists_of_single_objects_must_be_ended_where_they_count(
    host: GcsHost, page: Path, prevention: str, public: bool, refused: bool
) -> None:
    host.create(REGION)
    configure(host, prevention=prevention, uniform=False)
    if not refused:
        host_page(plan(host, page, public=public))
        return
    with pytest.raises(UsageError, match="access lists of single objects") as error:
        plan(host, page, public=public)
    name = host.identity()["bucket"]
    assert f"gcloud storage buckets update gs://{name} --uniform-bucket-level-access" in (error.value.hint or "")


@pytest.mark.parametrize("prevention", ["enforced", "inherited"])
def test_who_sends_images_is_warned_where_access_lists_could_show_them(
    host: GcsHost, local_cloud: Settings, tmp_path: Path, prevention: str
) -> None:
    host.create(REGION)
    configure(host, prevention=prevention, uniform=False)
    manifest = manifest_of(tmp_path / "images")
    there = destination_of(connect(replace(local_cloud, bucket=host.identity()["bucket"])))
    warnings = plan_manifest_upload(there, manifest, tmp_path / "plan.jsonl").warnings
    if prevention == "enforced":
        assert warnings == ()
    else:
        assert "does not prevent public access" in warnings[0]
        assert "access lists of single objects" in warnings[1]
        assert "--uniform-bucket-level-access" in warnings[1]
