"""The workers of a transfer: deadlines, memory, Ctrl-C, and the same end whatever goes wrong on the way."""

from __future__ import annotations

import _thread
import threading
import time
from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transfer_made import QUICK, TroubledStore, local_files, quick_haul, retrying

from cxr.errors import Unreachable
from cxr.storage.limits import Pace
from cxr.storage.retrying import Retrier
from cxr.storage.transfer import crew as crew_module
from cxr.storage.transfer.crew import Crew
from cxr.storage.transfer.files import Tally, Task, silent
from cxr.storage.transfer.upload import plan_upload, send_plan
from cxr.storage.transfer.workers import MOST, MOST_BYTES, choose_workers


def crew_of(action, workers: int = 4, on_tally=silent) -> Crew[str]:  # type: ignore[no-untyped-def]
    return Crew(action, workers=workers, retrier=Retrier(QUICK), pace=Pace(), retry_s=0.1, on_tally=on_tally)


def tasks(count: int, size: int = 1):  # type: ignore[no-untyped-def]
    return (Task(str(number), f"{number:05d}", size) for number in range(count))


def test_everything_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    told: list[Tally] = []
    outcome = crew_of(done.append, on_tally=told.append).run(tasks(500), files=500, size=500)
    assert sorted(map(int, done)) == list(range(500))
    assert (outcome.tally.files, outcome.tally.size, outcome.complete) == (500, 500, True)
    assert told[-1].files == 500


def test_a_file_that_hangs_is_given_up_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    released, hanging = threading.Event(), []
    # Nobody's time passes until both workers hang; then it is over for what they are at.
    clock = SimpleNamespace(monotonic=lambda: 1000.0 if len(hanging) == 2 else 0.0)
    monkeypatch.setattr(crew_module, "time", clock)

    def action(item: str) -> None:
        if item in {"3", "7"}:
            hanging.append(item)
            released.wait()

    try:
        outcome = crew_of(action, workers=2).run(tasks(50), files=50, size=50)
    finally:
        released.set()
    assert outcome.missing == ["00003", "00007"]
    assert outcome.tally.files == 48
    assert all(isinstance(failure.error, Unreachable) for failure in outcome.failures)


def test_ctrl_c_leaves_what_hangs_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew_module, "GRACE_S", 0.2)
    released, ten_are_done, done = threading.Event(), threading.Event(), []

    def action(item: str) -> None:
        if int(item) >= 10:
            if int(item) == 10:
                ten_are_done.wait()
                _thread.interrupt_main()
            released.wait()
        else:
            done.append(item)

    def look(tally: Tally) -> None:
        if tally.files == 10:
            ten_are_done.set()

    try:
        outcome = crew_of(action, workers=3, on_tally=look).run(tasks(100), files=100, size=100)
    finally:
        released.set()
    assert outcome.interrupted
    assert len(done) == outcome.tally.files == 10
    assert outcome.missing == [f"{number:05d}" for number in range(10, 100)]


def test_a_bug_in_a_worker_is_not_swallowed() -> None:
    def action(item: str) -> None:
        raise KeyError(item)

    with pytest.raises(KeyError):
        crew_of(action).run(tasks(10), files=10, size=10)


def test_files_in_memory_together_are_bounded() -> None:
    held, most, lock = [0], [0], threading.Lock()
    size = 7 << 20

    def action(item: str) -> None:
        with lock:
            held[0] += size
            most[0] = max(most[0], held[0])
        time.sleep(0.002)
        with lock:
            held[0] -= size

    outcome = crew_of(action, workers=64).run(tasks(200, size), files=200, size=200 * size)
    assert outcome.complete
    assert size < most[0] <= MOST_BYTES


@pytest.mark.parametrize(
    ("files", "size", "expected"),
    [(0, 0, 1), (3, 300, 3), (6000, 6000 * 20_000, MOST), (6000, 6000 * 200_000, 100), (100, 100 << 25, 8)],
)
def test_workers_by_size(files: int, size: int, expected: int) -> None:
    assert choose_workers(files, size) == expected


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["fail", "lose"]), max_size=3), min_size=8, max_size=8), st.integers(1, 6))
def test_whatever_fails_for_now_or_is_answered_in_vain_every_object_is_there_once(
    troubles: list[list[str]], workers: int
) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place)
        files = local_files(folder / "images", len(troubles))
        left = {file.name: deque(trouble) for file, trouble in zip(files, troubles, strict=True)}

        class Store(TroubledStore):
            def put_file(self, name, path, **options):  # type: ignore[no-untyped-def]
                self.after = bool(left[name]) and left[name][0] == "lose"
                return super().put_file(name, path, **options)

        def trouble(call: str, name: str) -> None:
            if call == "put" and left[name]:
                left[name].popleft()
                raise Unreachable("away")

        store = retrying(Store(folder / "store", trouble))
        plan = plan_upload(files, store, "images/", path=folder / "plan")
        paths = {file.name: file.path for file in files}
        haul = quick_haul(workers)
        assert send_plan(plan, store, lambda name: paths[name], haul.crew(plan.totals.to_send)).complete
        assert {info.name: info.crc32c for info in store.list()} == {file.name: file.digest.crc32c for file in files}
        assert plan_upload(files, store, "images/", path=folder / "plan").totals.to_send.files == 0
