"""A page on a bucket of the emulator: what is sent, what is kept, and how it goes again."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')
pytest.importorskip("httptools", reason='needs the extra: pip install "cxr[gcp]"')

from gcs_page import REGION, browse, names, plan, put_plain
from hosted_page import FILES, make_page

from cxr.cloud.hosting.applying import host_page, remove_page
from cxr.cloud.hosting.gcs_host import GcsHost
from cxr.cloud.hosting.record import RECORD
from cxr.cloud.hosting.removal import plan_removal
from cxr.errors import NotFound, UsageError, VersionConflict
from cxr.webapp.headers import cache_control, content_type


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
    put_plain(host, "page/notes.txt", b"somebody's")
    assert plan(host, page).nothing_to_do
    newer = make_page(page.parent / "newer", **{"assets/main-0a1b2c.js": None, "assets/main-ffff.js": b"export {}"})
    second = plan(host, newer)
    assert [one.file.name for one in second.sending] == ["assets/main-ffff.js", "service-worker.js"]
    assert [one.name for one in second.stale] == ["assets/main-0a1b2c.js"]
    host_page(second)
    assert {"page/notes.txt", "page/assets/main-ffff.js"} <= names(host)
    assert "page/assets/main-0a1b2c.js" not in names(host)
    assert plan(host, newer).nothing_to_do


def test_the_main_page_and_then_the_service_worker_go_last(host: GcsHost, page: Path) -> None:
    order = [one.file.name for one in plan(host, page).sending]
    assert order[-2:] == ["index.html", "service-worker.js"]
    assert [name.startswith("assets/") for name in order].index(False) == 6  # the assets go first


def test_a_file_of_somebody_else_is_not_replaced(host: GcsHost, page: Path) -> None:
    host.create(REGION)
    put_plain(host, "page/index.html", b"theirs")
    with pytest.raises(UsageError, match=r"page/index.html is there"):
        plan(host, page)
    assert host.read("page/index.html") == b"theirs"


def test_what_changed_since_the_plan_is_not_replaced(host: GcsHost, page: Path) -> None:
    host_page(plan(host, page))
    newer = make_page(page.parent / "newer", **{"index.html": b"new"})
    late = plan(host, newer)
    version = next(one.version for one in host.objects("page/") if one.name == "page/index.html")
    put_plain(host, "page/index.html", b"meanwhile", version)
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
    put_plain(host, "later.txt")
    assert not remove_page(removal)
    assert names(host) == {"later.txt"}
    found = host.look()
    assert found is not None
    assert (found.public, found.prevented, found.before["main_page"]) == (False, True, None)
    assert browse(host, "later.txt").status_code == 403
