"""Uploads: planned against one listing, carried out with preconditions, cheap to repeat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transfer_made import IMPATIENT, TroubledStore, local_files, quick_haul, retrying

from cxr.errors import CheckFailed, CxrError, Fault, InputError, NotAllowed, Unreachable
from cxr.storage.checksums import digest_of_bytes
from cxr.storage.folder import FolderStore
from cxr.storage.retrying import RetryingStore
from cxr.storage.store import Digest, ObjectInfo
from cxr.storage.transfer.download import fetch_plan, local_path, plan_download
from cxr.storage.transfer.files import LocalFile, Outcome
from cxr.storage.transfer.plan_file import PlanFile, read_plan
from cxr.storage.transfer.saved import check_same, check_still_true
from cxr.storage.transfer.upload import delete_orphans, plan_upload, send_plan, side_by_side


@pytest.fixture
def files(tmp_path: Path) -> list[LocalFile]:
    return local_files(tmp_path / "images")


@pytest.fixture
def store(tmp_path: Path) -> RetryingStore:
    return retrying(FolderStore(tmp_path / "store"))


@pytest.fixture
def plan_of(store: RetryingStore, tmp_path: Path):  # type: ignore[no-untyped-def]
    def make(files: list[LocalFile], name: str = "plan.jsonl") -> PlanFile:
        return plan_upload(files, store, "images/", path=tmp_path / name, header={"manifest": "m"})

    return make


def send(plan: PlanFile, store: RetryingStore, files: list[LocalFile], workers: int = 4) -> Outcome:
    haul = quick_haul(workers)
    paths = {file.name: file.path for file in files}
    return send_plan(plan, store, lambda name: paths[name], haul.crew(plan.totals.to_send))


def test_the_first_upload_sends_all_and_the_second_nothing(plan_of, store, files) -> None:  # type: ignore[no-untyped-def]
    outcome = send(plan_of(files), store, files)
    assert (outcome.tally.files, outcome.complete) == (25, True)
    again = plan_of(files)
    assert again.totals.to_send.files == 0
    assert (again.totals.unchanged.files, again.totals.unchanged.size) == (25, sum(f.digest.size for f in files))


def test_only_changed_and_new_files_are_planned(plan_of, store, files) -> None:  # type: ignore[no-untyped-def]
    send(plan_of(files[:-1]), store, files)
    data = b"y" * files[3].digest.size
    files[3].path.write_bytes(data)
    changed = replace(files[3], digest=digest_of_bytes(data))
    plan = plan_of([*files[:3], changed, *files[4:]])
    assert {action.name: action.why for action in plan.uploads()} == {
        "images/003.jpeg": "changed",
        "images/024.jpeg": "new",
    }
    assert (plan.totals.new.files, plan.totals.changed.files) == (1, 1)
    assert send(plan, store, files).complete
    assert store.get_bytes("images/003.jpeg") == data


def test_orphans_are_counted_and_only_deleted_when_asked(plan_of, store, files) -> None:  # type: ignore[no-untyped-def]
    send(plan_of(files), store, files)
    plan = plan_of(files[1:])
    assert [action.name for action in plan.orphans()] == ["images/000.jpeg"]
    assert plan.totals.orphan.size == files[0].digest.size
    send(plan, store, files)
    assert store.get_bytes("images/000.jpeg")
    assert delete_orphans(plan, store, quick_haul().crew(plan.totals.orphan)).complete
    assert store.stat("images/000.jpeg") is None
    assert len(list(store.list())) == 24


def test_an_orphan_that_changed_since_the_plan_is_not_deleted(plan_of, store, files) -> None:  # type: ignore[no-untyped-def]
    send(plan_of(files), store, files)
    plan = plan_of(files[1:])
    store.put_bytes("images/000.jpeg", b"new, and somebody wants it")
    outcome = delete_orphans(plan, store, quick_haul().crew(plan.totals.orphan))
    assert outcome.missing == ["images/000.jpeg"]
    assert store.get_bytes("images/000.jpeg") == b"new, and somebody wants it"


def test_bad_files_do_not_stop_the_others_and_are_named(plan_of, store, files) -> None:  # type: ignore[no-untyped-def]
    files[7].path.write_bytes(b"changed since the scan")
    files[9].path.unlink()
    outcome = send(plan_of(files), store, files)
    assert outcome.missing == ["images/007.jpeg", "images/009.jpeg"]
    told = {failure.name: failure.error.message for failure in outcome.failures}
    assert "has changed since it was scanned" in told["images/007.jpeg"]
    assert "is gone since it was scanned" in told["images/009.jpeg"]
    with pytest.raises(InputError, match="2 of 25 files were not sent"):
        outcome.require_complete("sent")
    assert len(list(store.list())) == 23


def test_an_object_changed_between_plan_and_upload_is_not_overwritten(plan_of, store, files) -> None:  # type: ignore[no-untyped-def]
    plan = plan_of(files[:1])
    store.put_bytes(files[0].name, b"somebody else's")
    with pytest.raises(CxrError, match="by somebody else since the plan"):
        send(plan, store, files).require_complete("sent")
    assert store.get_bytes(files[0].name) == b"somebody else's"


def test_the_same_bytes_put_there_by_another_upload_are_no_failure(plan_of, store, files) -> None:  # type: ignore[no-untyped-def]
    plan = plan_of(files[:3])
    store.put_file(files[0].name, files[0].path)
    assert send(plan, store, files).complete


def test_no_permission_stops_at_once_and_the_rest_is_named_as_missing(files, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    def refuse(call: str, name: str) -> None:
        if call == "put":
            raise NotAllowed("no", hint="ask")

    inner = TroubledStore(tmp_path / "s", refuse)
    store = retrying(inner)
    plan = plan_upload(files, store, "images/", path=tmp_path / "p")
    outcome = send(plan, store, files, workers=2)
    assert len(inner.calls) <= 4
    assert outcome.missing == [file.name for file in files]
    with pytest.raises(NotAllowed, match="25 of 25 files were not sent"):
        outcome.require_complete("sent")


def test_when_nothing_gets_through_any_more_the_rest_is_not_tried(files, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    def after_ten(call: str, name: str) -> None:
        if call == "put" and name > "images/010":
            raise Unreachable("the network is gone")

    inner = TroubledStore(tmp_path / "s", after_ten)
    store = retrying(inner)
    plan = plan_upload(files, store, "images/", path=tmp_path / "p")
    haul = quick_haul(2, IMPATIENT)
    store.retrier = haul.retrier
    paths = {file.name: file.path for file in files}
    outcome = send_plan(plan, store, lambda name: paths[name], haul.crew(plan.totals.to_send))
    assert outcome.missing == [file.name for file in files[10:]]
    assert len(outcome.failures) <= 2 * 2
    with pytest.raises(Unreachable) as raised:
        outcome.require_complete("sent")
    assert raised.value.exit_code == 1


def test_a_saved_plan_holds_until_somebody_changes_something(plan_of, store, files) -> None:  # type: ignore[no-untyped-def]
    send(plan_of(files[:20]), store, files)
    saved = read_plan(plan_of(files).path)
    check_still_true(saved, plan_of(files, "fresh"))
    send(saved, store, files[:22] and files)
    check_still_true(saved, plan_of(files, "fresh"))  # its own work is no change
    store.put_bytes("images/002.jpeg", b"theirs")
    store.delete("images/004.jpeg")
    store.put_bytes("images/zzz", b"new")
    with pytest.raises(CheckFailed) as raised:
        check_still_true(saved, plan_of(files, "fresh"))
    for told in ("images/002.jpeg has other bytes", "images/004.jpeg is gone", "images/zzz was put there"):
        assert told in raised.value.message


def test_a_saved_plan_is_for_one_manifest(plan_of, files) -> None:  # type: ignore[no-untyped-def]
    saved = plan_of(files)
    other = replace(saved, header={**saved.header, "manifest": "n"})
    with pytest.raises(CheckFailed, match="made for the manifest m, this is n"):
        check_same(saved, other, "destination", "manifest")


@pytest.mark.parametrize("damage", ["", "{}\n", "nonsense", '{"schema": "cxr.transfer-plan", "schema_version": 9}\n'])
def test_what_is_not_a_plan_is_refused(tmp_path: Path, damage: str) -> None:
    (tmp_path / "p").write_text(damage)
    with pytest.raises(InputError, match="plan"):
        read_plan(tmp_path / "p")


def test_a_plan_that_was_cut_short_is_refused(plan_of, files) -> None:  # type: ignore[no-untyped-def]
    path = plan_of(files).path
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:-1]))
    with pytest.raises(InputError, match="is not whole"):
        read_plan(path)


def test_a_listing_out_of_order_is_a_fault(tmp_path: Path, files) -> None:  # type: ignore[no-untyped-def]
    class Backwards(FolderStore):
        def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectInfo]:
            yield from [ObjectInfo("images/b", 1), ObjectInfo("images/a", 1)]

    with pytest.raises(Fault, match="not in order"):
        plan_upload(files, Backwards(tmp_path), "images/", path=tmp_path / "p")


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


@given(st.sets(NAMES, max_size=30), st.sets(NAMES, max_size=30))
def test_two_sorted_streams_pair_like_two_sets(ours: set[str], theirs: set[str]) -> None:
    files = (LocalFile(name, Path(), Digest(0)) for name in sorted(ours))
    stored = (ObjectInfo(name, 0) for name in sorted(theirs, key=lambda name: name.encode()))
    pairs = list(side_by_side(files, stored))
    assert {file.name for file, info in pairs if file and info} == ours & theirs
    assert {file.name for file, info in pairs if file and not info} == ours - theirs
    assert {info.name for file, info in pairs if info and not file} == theirs - ours


def test_a_download_brings_what_is_missing_and_replaces_what_differs(plan_of, store, files, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    send(plan_of(files), store, files)
    back = tmp_path / "back"
    (back / "images").mkdir(parents=True)
    (back / "images" / "000.jpeg").write_bytes(b"old")
    (back / "images" / "001.jpeg").write_bytes(files[1].path.read_bytes())
    plan = plan_download(store.list(), store, back, path=tmp_path / "d", skipped=[])
    assert (plan.totals.new.files, plan.totals.changed.files, plan.totals.unchanged.files) == (23, 1, 1)
    assert fetch_plan(plan, store, back, quick_haul().crew(plan.totals.to_send)).complete
    assert all((back / file.name).read_bytes() == file.path.read_bytes() for file in files)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "a//b", "./a", "a\0b", "", "/"])
def test_a_name_that_would_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        local_path(tmp_path, name)
