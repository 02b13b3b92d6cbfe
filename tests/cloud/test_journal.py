"""The journal: nothing written is lost, two processes do not tear each other's lines, a torn last line is mended."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr.cloud.connection import Connection
from cxr.cloud.jobs.journal import Journal
from cxr.cloud.jobs.launching import Submitted, launch, next_attempt
from cxr.cloud.plans.launch import Cost, JobKind, LaunchPlan
from cxr.cloud.prices.table import Price
from cxr.errors import InputError, UsageError
from cxr.settings import Target

CONNECTION = Connection(Target.EMULATOR, "p", "us-central1", "bucket", "cxr", "http://127.0.0.1:1")

WHOLE = dict.fromkeys(("project", "region", "bucket", "prefix", "manifest_hash", "fingerprint"), "")
WHOLE |= {"kind": "custom", "on": "gcp"}


def make_plan(seed: int = 1) -> LaunchPlan:
    cost = Cost(18.0, 9.0, 1.0, 0.5, Price(18.0, "2026-10-07", "test"))
    return LaunchPlan(JobKind.CUSTOM, CONNECTION, "f" * 64, {"seed": seed}, cost)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "jobs.jsonl")


def test_a_job_is_the_sum_of_its_lines(journal: Journal) -> None:
    job = journal.intend(make_plan())
    assert journal.find(job.id).state == "INTENDED"
    journal.update(journal.update(job, resource="projects/1/x", state="PENDING"), state="RUNNING")
    found = journal.find(job.id)
    assert (found.resource, found.state, found.worst_case_usd) == ("projects/1/x", "RUNNING", 18.0)


def test_an_update_without_a_change_writes_nothing(journal: Journal) -> None:
    job = journal.intend(make_plan())
    before = journal.path.read_bytes()
    journal.update(job, state=job.state)
    assert journal.path.read_bytes() == before


@given(cut=st.integers(min_value=1))
def test_a_line_torn_anywhere_is_ignored_and_mended(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal") / "jobs.jsonl")
    first, second = journal.intend(make_plan(1)), make_plan(2)
    whole = journal.path.stat().st_size
    journal.intend(second)
    lost = 1 + cut % (journal.path.stat().st_size - whole)
    with journal.path.open("r+b") as stream:
        stream.truncate(journal.path.stat().st_size - lost)
    # Only the newline may be missing: then the line is whole all the same.
    assert [job.id for job in journal.jobs()][:1] == [first.id]
    assert len(journal.jobs()) == (2 if lost == 1 else 1)
    journal.intend(second)
    assert {job.id for job in journal.jobs()} == {first.id, second.job_id}


def test_a_damaged_line_in_the_middle_is_named(journal: Journal) -> None:
    journal.intend(make_plan(1))
    with journal.path.open("a") as stream:
        stream.write("not json\n")
    journal.intend(make_plan(2))
    with pytest.raises(InputError, match="line 2"):
        journal.jobs()


def _write_many(path: Path, start: int) -> None:
    journal = Journal(path)
    for number in range(start, start + 50):
        journal.intend(make_plan(number))


def test_two_processes_write_without_tearing(journal: Journal) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(journal.path, start)) for start in (0, 50)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(journal.jobs()) == 100


def test_a_job_is_found_by_the_beginning_of_its_id(journal: Journal) -> None:
    job = journal.intend(make_plan())
    assert journal.find(job.id[:10]).id == job.id
    with pytest.raises(UsageError, match="not in the journal"):
        journal.find("nothing")


def test_the_only_job_of_a_kind_is_named_by_its_kind(journal: Journal) -> None:
    job = journal.intend(make_plan())
    assert journal.find("custom") == journal.find("custom-") == job
    journal.intend(make_plan(seed=2))
    with pytest.raises(UsageError, match="not the start of one job only"):
        journal.find("custom")


@pytest.mark.parametrize("said", ["", "c", "custo"])
def test_too_little_of_an_id_names_no_job(journal: Journal, said: str) -> None:
    journal.intend(make_plan())
    with pytest.raises(UsageError, match="too short to name a job"):
        journal.find(said)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"state": "RUNNING"}, "the entry of the job 'x' is incomplete, kind, on, project"),
        ({**WHOLE, "kind": "lunch"}, "is damaged, 'lunch' is not a valid JobKind"),
        ({**WHOLE, "progress": None}, "is damaged, progress is None"),
    ],
    ids=["incomplete", "kind", "type"],
)
def test_a_job_that_is_not_whole_is_told_and_passed_over_and_kept(
    journal: Journal, entry: dict[str, object], words: str
) -> None:
    job = journal.intend(make_plan())
    with journal.path.open("a") as stream:
        stream.write(json.dumps({**entry, "id": "x"}) + "\n")
    journal.update(job, state="RUNNING")
    assert [one.id for one in journal.jobs()] == [job.id]
    (problem,) = journal.problems
    assert f"{journal.path}, line 2: " in problem
    assert words in problem
    assert '"id": "x"' in journal.path.read_text()
    # What was missing may still come: the lines then make a whole job.
    journal.add(replace(job, id="x"))
    assert (journal.find("x").state, journal.problems) == ("INTENDED", [])


def test_the_same_plan_is_launched_once(journal: Journal) -> None:
    asked = []

    def submit() -> Submitted:
        asked.append(1)
        return Submitted("projects/1/customJobs/2")

    first, second = launch(journal, make_plan(), submit), launch(journal, make_plan(), submit)
    assert (first.fresh, second.fresh, len(asked)) == (True, False, 1)
    assert second.job.resource == "projects/1/customJobs/2"


def test_a_crash_between_intent_and_answer_asks_the_service_again(journal: Journal) -> None:
    journal.intend(make_plan())
    launched = launch(journal, make_plan(), lambda: Submitted("found-by-label", found=True))
    assert (launched.job.resource, launched.fresh) == ("found-by-label", False)
    assert len(journal.jobs()) == 1


def test_a_launch_whose_preparation_fails_leaves_no_job_behind(journal: Journal) -> None:
    def prepare() -> None:
        raise InputError("nothing was uploaded")

    with pytest.raises(InputError, match="nothing was uploaded"):
        launch(journal, make_plan(), lambda: Submitted("never"), prepare=prepare)
    assert journal.jobs() == []


def _launch_once(path: Path, asked: Path, number: int) -> None:
    def submit() -> Submitted:
        (asked / str(number)).touch()
        return Submitted(f"customJobs/{number}")

    launch(Journal(path), make_plan(), submit)


def test_two_launches_at_the_same_time_ask_the_service_once(journal: Journal, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    asked.mkdir()
    context = multiprocessing.get_context("spawn")
    launchers = [context.Process(target=_launch_once, args=(journal.path, asked, number)) for number in range(4)]
    for launcher in launchers:
        launcher.start()
    for launcher in launchers:
        launcher.join()
    assert len(list(asked.iterdir())) == 1
    assert len(journal.jobs()) == 1


@pytest.mark.parametrize("line", ["{}", "[1]", "7", '{"id": 3}'])
def test_a_line_that_names_no_job_is_named(journal: Journal, line: str) -> None:
    journal.path.write_text(f"{line}\n")
    with pytest.raises(InputError, match="line 1"):
        journal.jobs()


@pytest.mark.parametrize(
    ("state", "again", "attempt"),
    [
        ("RUNNING", False, 1),
        ("SUCCEEDED", False, 1),
        ("SUCCEEDED", True, 2),
        ("FAILED", False, 2),
        ("CANCELLED", False, 2),
        ("GONE", False, 2),
        ("CANCELLING", True, 1),
    ],
)
def test_only_ended_attempts_are_passed_over(journal: Journal, state: str, again: bool, attempt: int) -> None:
    journal.update(journal.intend(make_plan()), resource="r", state=state)
    assert next_attempt(journal, make_plan(), again=again).attempt == attempt
