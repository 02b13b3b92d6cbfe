"""Whatever bytes a reader gets, it says what is wrong with them in its own words: `make fuzz` looks for longer."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fuzz_emulator import SERVER
from fuzz_running import HANG_SECONDS, SEED_SECONDS, HangError, feed, inputs
from fuzz_targets import CORPUS, READERS, Target

#: Inputs a target in the quick tests.
EXAMPLES = 300
#: Of readers that take milliseconds for one.
EXAMPLES_OF_SLOW = 120
SLOW = {"manifest-rows", "manifest-header", "dicom", "image"}
TARGETS = (*READERS, *SERVER)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_reader_refuses_in_its_own_words_whatever_it_gets(target: Target, tmp_path: Path) -> None:
    examples = EXAMPLES_OF_SLOW if target.name in SLOW else EXAMPLES
    seeds = target.seeds
    for data in inputs(target, examples, random.Random(f"cxr fuzz {target.name}")):
        crash = feed(target, data, tmp_path, SEED_SECONDS if data in seeds else HANG_SECONDS)
        if crash is not None:
            pytest.fail(f"{crash.error!r} came out of {target.name} for {data[:500]!r}")


@pytest.mark.parametrize("target", READERS, ids=lambda target: target.name)
def test_the_first_inputs_are_good_ones(target: Target, tmp_path: Path) -> None:
    """A corpus that is refused at its first byte would try nothing."""
    for data in target.seeds:
        target.feed(data, tmp_path)


def test_every_corpus_belongs_to_a_target_and_all_are_small() -> None:
    assert {target.name for target in TARGETS} == {path.name for path in CORPUS.iterdir()}
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 100_000


def test_what_a_reader_must_not_raise_is_found(tmp_path: Path) -> None:
    def breaks(data: bytes, place: Path) -> None:
        if b"{" not in data:
            raise KeyError("a reader that does not look")

    target = Target("faults", breaks)
    found = [feed(target, data, tmp_path) for data in inputs(target, 100, random.Random(1))]
    assert any(crash is not None and isinstance(crash.error, KeyError) for crash in found)


@pytest.fixture
def timer() -> Iterator[None]:
    """A timer of the process, as pytest-timeout sets one; its own is put back."""
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    left, every = signal.setitimer(signal.ITIMER_REAL, 1_000, 7)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    signal.setitimer(signal.ITIMER_REAL, left, every)


@pytest.mark.usefixtures("timer")
def test_a_reader_that_hangs_is_found_though_it_catches_everything(tmp_path: Path) -> None:
    def hangs(data: bytes, place: Path) -> None:
        while True:
            with suppress(Exception):
                time.sleep(0.01)  # not pause(): a signal just before it would be waited for in vain

    crash = feed(Target("faults", hangs), b"", tmp_path, seconds=0.05)
    assert crash is not None
    assert isinstance(crash.error, HangError)


@pytest.mark.usefixtures("timer")
def test_a_timer_that_was_set_before_goes_on(tmp_path: Path) -> None:
    assert feed(Target("faults", lambda data, place: None), b"", tmp_path) is None
    left, every = signal.getitimer(signal.ITIMER_REAL)
    assert 0 < left <= 1_000
    assert every == 7
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
