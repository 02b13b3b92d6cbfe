"""A page on a bucket of the emulator: what is sent, what is kept, what becomes public and what is refused."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')
pytest.importorskip("httptools", reason='needs the extra: pip install "cxr[gcp]"')

import requests
from hosted_page import FILES, make_page
from PIL import Image

from cxr.cloud.connection import connect
from cxr.cloud.hosting.applying import host_page, remove_page
from cxr.cloud.hosting.gcs_host import GcsHost
from cxr.cloud.hosting.plan import HostPlan, plan_page
from cxr.cloud.hosting.record import RECORD
from cxr.cloud.hosting.removal import plan_removal
from cxr.cloud.uploading import destination_of, plan_manifest_upload
from cxr.errors import NotFound, UsageError, VersionConflict
from cxr.manifests.manifest import Manifest
from cxr.manifests.scan import scan
from cxr.settings import Settings
from cxr.webapp.headers import cache_control, content_type

REGION = "us-central1"


@pytest.fixture
def host(local_cloud: Settings, request: pytest.FixtureRequest) -> GcsHost:
    """A bucket of its own for each test; not made yet."""
    name = f"page-{abs(hash(request.node.name)) % 10**9}-{os.getpid()}"
    return GcsHost(connect(replace(local_cloud, bucket=name)))


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return make_page(tmp_path / "page")


def plan(host: GcsHost, page: Path, prefix: str = "page/", *, public: bool = False) -> HostPlan:
    return plan_page(host, page, prefix, REGION, public=public)


def names(host: GcsHost) -> set[str]:
    return {one.name for one in host.objects("")}


def origin(host: GcsHost) -> str:
    return host.addresses("", "")[0].url


def browse(host: GcsHost, name: str) -> requests.Response:
    """As a browser does: without a token, taking gzip."""
    return requests.get(f"{origin(host)}{name}", timeout=20)


def test_a_page_is_sent_whole_and_private_with_its_headers(host: GcsHost, page: Path) -> None:
    done = host_page(plan(host, page))
    assert done.addresses == ()
    assert names(host) == {f"page/{name}" for name in (*FILES, "service-worker.js", RECORD)}
    assert browse(host, "page/index.html").status_code == 403
    found = host.look()
    assert found is not None
    assert (found.location, found.prevented, found.public) == (REGION, True, False)
    for one in host.objects("page/"):
        name = one.name.removeprefix("page/")
        assert one.headers is not None
        if name != RECORD:
            assert (one.headers.content_type, one.headers.cache_control) == (content_type(name), cache_control(name))


def test_the_second_time_only_what_changed_is_sent_and_only_its_own_old_files_go(host: GcsHost, page: Path) -> None:
    host_page(plan(host, page))
    host.put("page/notes.txt", b"somebody's", replace_headers(), "absent")
    assert plan(host, page).nothing_to_do
    newer = make_page(page.parent / "newer", **{"assets/main-0a1b2c.js": None, "assets/main-ffff.js": b"export {}"})
    second = plan(host, newer)
    assert [one.file.name for one in second.sending] == ["assets/main-ffff.js", "service-worker.js"]
    assert [one.name for one in second.stale] == ["assets/main-0a1b2c.js"]
    host_page(second)
    assert {"page/notes.txt", "page/assets/main-ffff.js"} <= names(host)
    assert "page/assets/main-0a1b2c.js" not in names(host)
    assert plan(host, newer).nothing_to_do


def replace_headers() -> Any:
    from cxr.cloud.hosting.files import Headers

    return Headers("text/plain", "no-cache")


def test_the_main_page_and_then_the_service_worker_go_last(host: GcsHost, page: Path) -> None:
    order = [one.file.name for one in plan(host, page).sending]
    assert order[-2:] == ["index.html", "service-worker.js"]
    assert [name.startswith("assets/") for name in order].index(False) == 6  # the assets go first


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
    host.put("cxr/images/person1_bacteria_1.jpeg", b"x", replace_headers(), "absent")
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


def test_a_file_of_somebody_else_is_not_replaced(host: GcsHost, page: Path) -> None:
    host.create(REGION)
    host.put("page/index.html", b"theirs", replace_headers(), "absent")
    with pytest.raises(UsageError, match=r"page/index.html is there"):
        plan(host, page)
    assert host.read("page/index.html") == b"theirs"


def test_what_changed_since_the_plan_is_not_replaced(host: GcsHost, page: Path) -> None:
    host_page(plan(host, page))
    newer = make_page(page.parent / "newer", **{"index.html": b"new"})
    late = plan(host, newer)
    version = next(one.version for one in host.objects("page/") if one.name == "page/index.html")
    host.put("page/index.html", b"meanwhile", replace_headers(), version)
    with pytest.raises(VersionConflict):
        host_page(late)
    assert host.read("page/index.html") == b"meanwhile"


def test_an_interrupted_hosting_is_gone_on_with(host: GcsHost, page: Path) -> None:
    class StopError(Exception):
        pass

    def stop(done: int, total: int, note: str) -> None:
        if done == 5:
            raise StopError

    with pytest.raises(StopError):
        host_page(plan(host, page, public=True), on_progress=stop)
    assert browse(host, "page/page.json").status_code == 403  # public only when all is there
    again = plan(host, page, public=True)
    assert len(again.sending) == len(FILES) + 1 - 5
    host_page(again)
    assert browse(host, "page/index.html").status_code == 200


@pytest.mark.parametrize("public", [False, True], ids=["private", "public"])
def test_removing_undoes_it(host: GcsHost, page: Path, public: bool) -> None:
    host_page(plan(host, page, public=public))
    assert remove_page(plan_removal(host, "page/"))
    assert host.look() is None
    with pytest.raises(NotFound):
        plan_removal(host, "page/")


def test_removing_leaves_what_is_not_the_pages(host: GcsHost, page: Path) -> None:
    host.create(REGION)
    host_page(plan(host, page, public=True))
    removal = plan_removal(host, "page/")
    host.put("later.txt", b"x", replace_headers(), "absent")
    assert not remove_page(removal)
    assert names(host) == {"later.txt"}
    found = host.look()
    assert found is not None
    assert (found.public, found.prevented, found.before["main_page"]) == (False, True, None)
    assert browse(host, "later.txt").status_code == 403


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


def grant(host: GcsHost, member: str, role: str) -> None:
    policy = host._bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": role, "members": {member}})
    host._bucket.set_iam_policy(policy)


def dormant(host: GcsHost, member: str, role: str) -> None:
    """A bucket that grants somebody something, and prevents public access."""
    host.create(REGION)
    configure(host, prevention="inherited")
    grant(host, member, role)
    configure(host, prevention="enforced")


def configure(host: GcsHost, *, prevention: str | None = None, uniform: bool | None = None) -> None:
    bucket = host._client.get_bucket(host._bucket.name)
    if prevention is not None:
        bucket.iam_configuration.public_access_prevention = prevention
    if uniform is not None:
        bucket.iam_configuration.uniform_bucket_level_access_enabled = uniform
    bucket.patch()


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
        host.put("cxr/images/person1.jpeg", b"x", replace_headers(), "absent")
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


def manifest_of(folder: Path) -> Manifest:
    for level, label in enumerate(("NORMAL", "PNEUMONIA")):
        (folder / label).mkdir(parents=True)
        Image.new("L", (8, 8), 90 * level).save(folder / label / "a.png")
    return scan(folder)


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


# The command line.


@pytest.fixture
def cxr(local_cloud: Settings, run_cxr: Callable[..., Any]) -> Callable[..., Any]:
    """`cxr cloud host … --state-dir` of the running emulator."""
    return lambda *words, **options: run_cxr(
        "cloud", "host", *words, "--state-dir", str(local_cloud.state_dir), **options
    )


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    return f"cli-{abs(hash(request.node.name)) % 10**9}-{os.getpid()}"


def test_a_command_hosts_shows_json_and_removes(cxr: Any, page: Path, bucket: str) -> None:
    (page / "me.jpeg").write_bytes(b"x")
    where = ("--bucket", bucket, "--prefix", "")
    done = cxr(str(page), *where, "--public", "--yes", "--yes-public", bucket, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["schema"], said["sent"], said["public"]) == ("cxr.cloud.host", len(FILES) + 1, True)
    assert requests.get(said["addresses"][0]["url"], timeout=20).content == FILES["index.html"]
    assert "left out: me.jpeg" in done.stderr
    assert "nothing of the images" in done.stderr
    assert "need https" in done.stderr
    gone = cxr("--remove", *where, "--yes", "--json")
    assert json.loads(gone.stdout)["bucket_deleted"]


@pytest.mark.parametrize(
    "words",
    [
        ("--public",),
        ("--public", "--yes"),
        ("--public", "--yes", "--yes-public", "another"),
        ("--yes", "--yes-public", "{bucket}"),
        ("--public", "--yes-public", "{bucket}"),
    ],
    ids=["unasked", "yes", "another-bucket", "not-public", "not-yes"],
)
def test_nothing_is_made_public_without_its_name(
    cxr: Any, local_cloud: Settings, page: Path, bucket: str, words: tuple[str, ...]
) -> None:
    given = [word.format(bucket=bucket) for word in words]
    refused = cxr(str(page), "--bucket", bucket, *given)
    assert refused.returncode == 2
    assert "--yes-public" in refused.stderr
    assert GcsHost(connect(replace(local_cloud, bucket=bucket))).look() is None


@pytest.mark.parametrize("typed", ["yes", "the bucket"])
def test_on_a_terminal_the_buckets_name_has_to_be_typed(
    local_cloud: Settings, page: Path, bucket: str, typed: str
) -> None:
    master, slave = pty.openpty()
    state = str(local_cloud.state_dir)
    command = [sys.executable, "-m", "cxr", "cloud", "host", str(page), "--bucket", bucket, "--public"]
    process = subprocess.Popen(
        [*command, "--state-dir", state], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    os.write(master, (bucket if typed == "the bucket" else typed).encode() + b"\n")
    out, err = process.communicate(timeout=60)
    os.close(master)
    os.close(slave)
    if typed == "yes":
        assert (process.returncode, out.count("index.html")) == (2, 0), err
        return
    assert process.returncode == 0, err
    assert requests.get(out.splitlines()[-1], timeout=20).status_code == 200


def test_a_saved_plan_is_carried_out_only_while_it_is_true(cxr: Any, page: Path, bucket: str, tmp_path: Path) -> None:
    saved = tmp_path / "plan.json"
    made = cxr(str(page), "--bucket", bucket, "--plan", str(saved))
    assert made.returncode == 0, made.stderr
    assert "--apply" in made.stderr
    (page / "index.html").write_bytes(b"changed")
    stale = cxr("--apply", str(saved), "--yes")
    assert (stale.returncode, "send differ" in stale.stderr) == (5, True), stale.stderr
    (page / "index.html").write_bytes(FILES["index.html"])
    done = cxr("--apply", str(saved), "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent"] == len(FILES) + 1
    assert cxr("--apply", str(saved), "--bucket", "another-one").returncode == 2


@pytest.mark.parametrize(
    "words",
    [(), ("--remove", "{page}"), ("--remove",), ("{page}", "--prefix", "../up"), ("{page}", "--on", "azure")],
    ids=["no-page", "remove-a-page", "nothing-there", "prefix", "cloud"],
)
def test_wrong_words_are_refused(cxr: Any, page: Path, bucket: str, words: tuple[str, ...]) -> None:
    refused = cxr(*(word.format(page=page) for word in words), "--bucket", bucket, "--yes")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_a_folder_that_is_no_page_is_refused(cxr: Any, tmp_path: Path, bucket: str) -> None:
    (tmp_path / "images").mkdir()
    refused = cxr(str(tmp_path / "images"), "--bucket", bucket, "--yes")
    assert refused.returncode == 2
    assert "is not a page" in refused.stderr
