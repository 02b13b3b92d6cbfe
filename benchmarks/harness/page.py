"""docs/benchmarks.md, made of the records beside it (docs/benchmarks.json)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.record import Record
from harness.suite import SUITE, Benchmark
from harness.words import goal, measured, peers, times

HEAD = """\
# Measurements

`make bench` runs every benchmark of `benchmarks/` and writes this page and `benchmarks.json`, from which the page can
be made again (`python benchmarks --render`). `make bench ARGS="--only scan"` renews one, `ARGS=--quick` tries them in
small and leaves this page alone.

**Ratios say more than numbers.** Ours and a peer run in the same run on the same machine, mostly in turn: "×5" is five
times better than the peer, whether better is less (time, memory, bytes) or more (a rate). In brackets stand the lowest
and the highest round. A goal that is missed is said, and nothing fails because of a time. Beside each run stands
the load before it: on a busy machine times are upper bounds, and ratios to peers that ran at another moment say little.

A `+` behind a commit: with changes that were in no commit. `benchmarks/long` is outside of this: hours, and a folder of
X-rays.
"""


def write_records(records: Iterable[Record], path: Path) -> None:
    """Keep the records in one document."""
    document = {"schema": "cxr.benchmarks", "schema_version": 1, "records": [record.as_json() for record in records]}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_records(path: Path) -> dict[str, Record]:
    """By script; nothing when there is no such file. Raises ValueError for another document."""
    if not path.is_file():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    if document.get("schema") != "cxr.benchmarks":
        raise ValueError(f"{path.name} holds no records of benchmarks")
    return {record.script: record for record in map(Record.from_json, document["records"])}


def render_page(records: Mapping[str, Record], suite: Sequence[Benchmark] = SUITE) -> str:
    """The page: what is in `records`, in the order of the suite, and which benchmarks have none."""
    present = [(benchmark, records[benchmark.script]) for benchmark in suite if benchmark.script in records]
    parts = [HEAD, _machines([record for _, record in present]), _overview(present)]
    for benchmark in suite:
        record = records.get(benchmark.script)
        parts.append(_section(benchmark, record) if record else _nothing_yet(benchmark))
    return "\n".join(parts)


def _machines(records: Sequence[Record]) -> str:
    lines = []
    for machine in dict.fromkeys(_machine(record) for record in records):
        same = [record for record in records if _machine(record) == machine]
        python = ", ".join(dict.fromkeys(record.versions.get("python", "") for record in same))
        days = sorted({record.started[:10] for record in same if record.started})
        commits = ", ".join(dict.fromkeys(record.commit or "no commit" for record in same))
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else ""
        lines.append(f"Measured {when} on {machine}, Python {python}; commit {commits}.\n")
    return "\n".join(lines)


def _machine(record: Record) -> str:
    what = record.machine
    return f"{what['cores']} cores of {what['processor']}, {what['memory_gb']} GB, {what['system']}"


def _overview(present: Sequence[tuple[Benchmark, Record]]) -> str:
    lines = ["| benchmark | results | goals met | took |", "|---|---|---|---|"]
    for benchmark, record in present:
        goals = [result.met for result in record.results if result.met is not None]
        met = f"{sum(goals)} of {len(goals)}" if goals else ""
        title = f"[{benchmark.title}](#{_anchor(benchmark.title)})"
        results = "**failed**" if record.failure else str(len(record.results))
        lines.append(f"| {title} | {results} | {met} | {_duration(record.seconds)} |")
    total = sum(record.seconds for _, record in present)
    return "\n".join([*lines, f"| all | | | {_duration(total)} |", ""])


def _section(benchmark: Benchmark, record: Record) -> str:
    used = ", ".join(f"{name} {number}" for name, number in record.versions.items() if name != "python")
    lines = [f"## {benchmark.title}", "", benchmark.about, "", f"    {record.command}", ""]
    lines += [f"{record.started[:16].replace('T', ' ')} UTC, load before {record.load:g}. {used}.", ""]
    if record.failure:
        lines += [f"**The run failed**: {record.failure}.", ""]
    if record.results:
        lines += ["| what | measure | ours | peer | ratio | goal | |", "|---|---|---|---|---|---|---|"]
    for result in record.results:
        cells = (
            result.name, result.measure, measured(result), peers(result), times(result), goal(result), result.note
        )  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += [""] if record.results else []
    lines += [f"- Not measured: {name}: {reason}." for name, reason in record.absent.items()]
    lines += [f"- {note}" for note in record.notes]
    return "\n".join(lines + ([""] if record.absent or record.notes else []))


def _nothing_yet(benchmark: Benchmark) -> str:
    return f"## {benchmark.title}\n\n{benchmark.about}\n\n    {benchmark.command}\n\nNo record yet.\n"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
