"""The journal of jobs: readable, whole, and whether something in it still runs."""

from __future__ import annotations

from collections.abc import Iterator

from cxr.cloud.jobs.journal import Journal
from cxr.doctor.findings import Finding, Level
from cxr.doctor.subject import Subject
from cxr.errors import CxrError

CHECK = "journal"


def journal(subject: Subject) -> Iterator[Finding]:
    """The jobs of this working folder, as last seen; nobody is asked how they are now."""
    book = Journal(subject.folder / subject.state_dir / "jobs.jsonl")
    try:
        jobs, problems = book.jobs(), book.problems
    except CxrError as error:
        yield Finding(Level.PROBLEM, CHECK, error.message, error.hint or "")
        return
    for problem in problems:
        yield Finding(Level.NOTE, CHECK, problem, "correct or remove the line by hand")
    running = [job for job in jobs if not job.finished]
    facts = {"jobs": len(jobs), "unfinished": [job.id for job in running]}
    if any(job.on.billed for job in running):
        names = ", ".join(job.id for job in running if job.on.billed)
        words = f"{len(jobs)} jobs, unfinished when last seen: {names}"
        yield Finding(Level.NOTE, CHECK, words, "cxr cloud jobs --refresh", facts)
        return
    said = f"{len(jobs)} jobs, {len(running)} unfinished" if jobs else "no jobs were launched from this folder"
    yield Finding(Level.OK, CHECK, said, facts=facts)
