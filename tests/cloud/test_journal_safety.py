"""The journal under several writers and torn at any byte: what was acknowledged is there, in order, and private."""

from __future__ import annotations

import json
import multiprocessing
import stat
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from cxr.cloud.jobs.journal import Job, Journal
from cxr.cloud.plans.launch import JobKind
from cxr.settings import Target

LAST = "ünïcode in an error: \N{SNOWMAN}"


def job(number: int = 1) -> Job:
    return Job(f"custom-{number}", JobKind.CUSTOM, Target.EMULATOR, "p", "us-central1", "b", "cxr", "f" * 64, "")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "jobs.jsonl")


def test_a_last_line_torn_at_any_byte_loses_at_most_itself(journal: Journal) -> None:
    first = journal.update(journal.add(job()), resource="r", state="RUNNING")
    before = journal.path.read_bytes()
    journal.update(first, state="FAILED", error=LAST)
    whole = journal.path.read_bytes()
    for cut in range(len(before), len(whole) + 1):
        journal.path.write_bytes(whole[:cut])
        complete = cut >= len(whole) - 1  # only the newline may be missing
        assert journal.find(first.id).state == ("FAILED" if complete else "RUNNING")
        journal.add(job(2))
        assert [one.id for one in journal.jobs()] == ["custom-1", "custom-2"]
        assert journal.find("custom-1").error == (LAST if complete else "")
        assert all(json.loads(line) for line in journal.path.read_text().splitlines())


def test_an_answer_that_was_overtaken_does_not_bring_a_finished_job_back(journal: Journal) -> None:
    seen_early = journal.update(journal.add(job()), resource="r", state="PENDING")
    journal.update(seen_early, state="SUCCEEDED", model="m")  # another process
    kept = journal.update(seen_early, state="RUNNING")
    assert (kept.state, kept.model, journal.find(kept.id).state) == ("SUCCEEDED", "m", "SUCCEEDED")
    # A new start of the same job (an import) is another matter.
    assert journal.update(kept, resource="r2", state="RUNNING").state == "RUNNING"


def test_a_stale_copy_does_not_undo_what_others_wrote(journal: Journal) -> None:
    stale = journal.add(job())
    journal.update(stale, resource="r", exported_to="runs/x")
    now = journal.update(stale, state="RUNNING")
    assert (now.resource, now.exported_to, now.state) == ("r", "runs/x", "RUNNING")


def _write(path: Path, number: int, go: Event) -> None:
    journal = Journal(path)
    mine = journal.add(job(number))
    go.wait(20)
    for step in range(30):
        mine = journal.update(mine, progress={"step": step, "padding": "x" * 5000})


def test_a_reader_meets_only_whole_lines_while_two_processes_write(journal: Journal) -> None:
    context = multiprocessing.get_context("spawn")
    go = context.Event()
    writers = [context.Process(target=_write, args=(journal.path, number, go)) for number in (1, 2)]
    for writer in writers:
        writer.start()
    go.set()
    seen = {"custom-1": -1, "custom-2": -1}
    while any(writer.is_alive() for writer in writers):
        for one in journal.jobs():
            step = one.progress.get("step", -1)
            assert step >= seen[one.id]
            seen[one.id] = step
    assert {one.progress["step"] for one in journal.jobs()} == {29}


def test_the_journal_is_its_owners_alone(journal: Journal) -> None:
    journal.add(job())
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_fields_of_a_later_version_are_passed_over(journal: Journal) -> None:
    journal.add(job())
    with journal.path.open("a") as stream:
        stream.write(json.dumps({"id": "custom-1", "state": "RUNNING", "from_the_future": 1}) + "\n")
    assert journal.find("custom-1") == replace(job(), state="RUNNING")
