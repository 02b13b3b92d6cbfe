"""Repeating: only what may be repeated, not before it was asked for, not for ever, and never twice the same object."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from transfer_made import QUICK, TroubledStore, retrying

from cxr.errors import Interrupted, NotFound, Unreachable, VersionConflict
from cxr.storage import retrying as retrying_module
from cxr.storage.retrying import Patience, Retrier
from cxr.storage.store import ABSENT


def failing(
    times: int, on: str, error: Callable[[], Exception] = lambda: Unreachable("away")
) -> Callable[[str, str], None]:
    """Fails the first `times` calls of a kind for each name."""
    seen: Counter[str] = Counter()

    def trouble(call: str, name: str) -> None:
        if call == on:
            seen[name] += 1
            if seen[name] <= times:
                raise Unreachable("away")

    return trouble


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.jpeg"
    path.write_bytes(b"bytes" * 100)
    return path


def test_what_fails_for_now_is_tried_again(tmp_path: Path, image: Path) -> None:
    store = retrying(TroubledStore(tmp_path / "s", failing(3, "put")))
    assert store.put_file("x", image, if_version=ABSENT).size == 500
    assert store.retrier.retries == 3


def test_a_write_without_a_precondition_is_never_repeated(tmp_path: Path, image: Path) -> None:
    inner = TroubledStore(tmp_path / "s", failing(1, "put"))
    with pytest.raises(Unreachable):
        retrying(inner).put_file("x", image)
    assert inner.calls == [("put", "x")]


def test_an_answer_that_was_lost_is_no_conflict(tmp_path: Path, image: Path) -> None:
    store = retrying(TroubledStore(tmp_path / "s", failing(1, "put"), after=True))
    assert store.put_file("x", image, if_version=ABSENT).size == 500
    assert store.get_bytes("x") == image.read_bytes()


def test_somebody_elses_object_stays_a_conflict_after_a_retry(tmp_path: Path, image: Path) -> None:
    def trouble(call: str, name: str) -> None:
        if call == "put" and not (tmp_path / "s" / name).exists():
            (tmp_path / "s").mkdir(exist_ok=True)
            (tmp_path / "s" / name).write_bytes(b"theirs")
            raise Unreachable("away")

    store = retrying(TroubledStore(tmp_path / "s", trouble))
    with pytest.raises(VersionConflict):
        store.put_file("x", image, if_version=ABSENT)
    assert store.get_bytes("x") == b"theirs"


def test_a_delete_whose_answer_was_lost_is_done(tmp_path: Path) -> None:
    store = retrying(TroubledStore(tmp_path / "s", failing(1, "delete"), after=True))
    version = store.put_bytes("x", b"1", if_version=ABSENT).version
    store.delete("x", if_version=version)
    with pytest.raises(NotFound):
        store.delete("y", if_version=version)


def test_a_listing_goes_on_behind_the_last_name(tmp_path: Path) -> None:
    inner = TroubledStore(tmp_path / "s", failing(2, "list"))
    for number in range(30):
        inner.put_bytes(f"{number:02d}", b"x")
    assert [info.name for info in retrying(inner).list()] == [f"{number:02d}" for number in range(30)]


def test_waits_grow_within_their_bounds_and_are_never_shorter_than_asked() -> None:
    patience = Patience(first_wait_s=1.0, longest_wait_s=8.0)
    for failures, bound in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (40, 8.0), (10_000, 8.0)):
        waits = [patience.wait_s(failures) for _ in range(50)]
        assert all(bound / 2 <= wait <= bound for wait in waits)
        assert len(set(waits)) > 10

    asked = Unreachable("slow down", retry_after=0.05)
    retrier, began, calls = Retrier(QUICK), time.monotonic(), []

    def action() -> None:
        calls.append(time.monotonic() - began)
        if len(calls) < 3:
            raise asked

    retrier.call(action)
    assert calls[1] >= 0.05
    assert calls[2] - calls[1] >= 0.05


def test_patience_ends_and_then_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying_module, "OUTAGE_S", 0.0)
    retrier = Retrier(Patience(retry_s=0.05, first_wait_s=0.01, longest_wait_s=0.01))

    def away() -> None:
        raise Unreachable("away")

    for _ in range(3):
        with pytest.raises(Unreachable):
            retrier.call(away)
    assert retrier.gave_up
    before = retrier.retries
    with pytest.raises(Unreachable):
        retrier.call(away)
    assert retrier.retries == before
    retrier.call(lambda: None)
    assert not retrier.gave_up


def test_a_service_that_asks_for_more_than_there_is_patience_for_is_told_at_once() -> None:
    retrier = Retrier(Patience(retry_s=10))
    with pytest.raises(Unreachable, match="an hour"):
        retrier.call(lambda: (_ for _ in ()).throw(Unreachable("an hour", retry_after=3600)))
    assert retrier.retries == 0


def test_progress_starts_the_patience_anew() -> None:
    retrier = Retrier(Patience(retry_s=0.2, first_wait_s=0.01, longest_wait_s=0.05))
    attempts = 0

    def piece_by_piece() -> str:
        nonlocal attempts
        attempts += 1
        if attempts < 30:
            error = Unreachable("reset")
            error.made_progress = True
            raise error
        return "whole"

    assert retrier.call(piece_by_piece) == "whole"


def test_cancelling_ends_a_wait() -> None:
    cancelled = threading.Event()
    retrier = Retrier(Patience(retry_s=1000, first_wait_s=500, longest_wait_s=500), cancelled)

    def away() -> None:
        cancelled.set()
        raise Unreachable("away")

    with pytest.raises(Interrupted):
        retrier.call(away)
    with pytest.raises(Interrupted):
        retrier.call(lambda: None)
