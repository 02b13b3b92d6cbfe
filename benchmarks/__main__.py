"""Runs the benchmarks and writes docs/benchmarks.md: `python benchmarks [--only NAME] [--skip NAME] [--resume]
[--quick]`.

Each runs in a process of its own with a time limit; one that fails is marked, the others go on, and the exit code is 1.
Records are kept in build/benchmarks, trials in build/benchmarks-quick, where their page is, too.
"""

from __future__ import annotations

import argparse
import signal
import time
from pathlib import Path

from harness.page import read_records, render_page, write_records
from harness.record import Record
from harness.runner import Place, run_benchmarks
from harness.suite import SUITE
from scale_page.page import render_scale

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def main() -> None:
    """Run what was asked for, then make the pages."""
    # Ended politely, it ends the script that is running, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _options()
    kept = ROOT / "build" / ("benchmarks-quick" if options.quick else "benchmarks")
    pages = kept if options.quick else DOCS
    failed: list[str] = []
    if not options.render:
        chosen = [each for each in SUITE if each.script in (options.only or options.names) - options.skip]
        begin = time.monotonic()
        records = run_benchmarks(chosen, Place(Path(__file__).parent, kept), quick=options.quick, resume=options.resume)
        failed = [record.script for record in records if record.failure]
        print(f"{len(records)} benchmarks in {(time.monotonic() - begin) / 60:.1f} min")
        _keep(records, pages)
    records_by_name = read_records(pages / "benchmarks.json")
    (pages / "benchmarks.md").write_text(render_page(records_by_name), encoding="utf-8")
    print(f"{pages.relative_to(ROOT)}/benchmarks.md")
    if not options.quick and render_scale(DOCS / "scale.md", records_by_name):
        print("docs/scale.md")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _keep(records: list[Record], pages: Path) -> None:
    """Put new records in the place of older ones. One that failed does not replace one that did not."""
    path = pages / "benchmarks.json"
    together = read_records(path)
    for record in records:
        earlier = together.get(record.script)
        if record.failure and earlier is not None and not earlier.failure:
            continue
        together[record.script] = record
    order = [benchmark.script for benchmark in SUITE]
    write_records((together[name] for name in order if name in together), path)


def _options() -> argparse.Namespace:
    names = [benchmark.script for benchmark in SUITE]
    parser = argparse.ArgumentParser(prog="python benchmarks", description="Run benchmarks, write docs/benchmarks.md.")
    parser.add_argument("--only", action="append", default=[], choices=names, help="this one (may be repeated)")
    parser.add_argument("--skip", action="append", default=[], choices=names, help="not this one (may be repeated)")
    parser.add_argument("--resume", action="store_true", help="leave out what has ended well at this commit")
    parser.add_argument("--quick", action="store_true", help="fewer of everything; docs/ stays as it is")
    parser.add_argument("--render", action="store_true", help="run nothing, make the pages from docs/benchmarks.json")
    options = parser.parse_args()
    options.only, options.skip, options.names = set(options.only), set(options.skip), set(names)
    return options


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("interrupted: what has ended is kept, and the same with --resume goes on") from None
