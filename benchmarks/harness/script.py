"""A benchmark at work: its command line, what it prints, and the record that it leaves with `--json FILE`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.machine import commit_of_tree, describe_machine, versions_of
from harness.record import Record, write_record
from harness.result import Result
from harness.words import told

#: Declares a script's own options.
AddArguments = Callable[[argparse.ArgumentParser], None]


@dataclass(slots=True)
class Script:
    """What a benchmark is given: `options` of its command line, and where its results go."""

    options: argparse.Namespace
    results: list[Result] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def quick(self) -> bool:
        """Whether fewer of everything are asked for."""
        return bool(self.options.quick)

    def add(self, result: Result) -> None:
        """Keep a result and print it."""
        self.results.append(result)
        self.say(told(result))

    def say_absent(self, what: str, reason: object) -> None:
        """A peer or a part that is not measured, and why."""
        self.absent[what] = str(reason)
        self.say(f"{what}: absent: {reason}")

    def note(self, text: str) -> None:
        """Something that a reader of the results should know."""
        self.notes.append(text)
        self.say(text)

    def say(self, text: str) -> None:
        """Print at once, also into a pipe."""
        print(text, flush=True)


def run_script(
    measure: Callable[[Script], None],
    *,
    file: str,
    description: str | None,
    packages: Sequence[str] = (),
    arguments: AddArguments = lambda parser: None,
) -> None:
    """Parse the command line, measure, and leave the record, also of a run that fails or is stopped (exit code 1).

    `packages`: whose versions the results depend on.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer of everything: a trial, no figures to quote")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured to FILE")
    arguments(parser)
    options = parser.parse_args()
    script = Script(options, packages=list(packages))
    load, started, begin = os.getloadavg()[0], datetime.now(UTC), time.monotonic()
    machine = describe_machine()
    script.say(f"{machine['cores']} cores, load before: {load:.1f}")
    failure = "it did not end"
    try:
        measure(script)
        failure = ""
    except KeyboardInterrupt:
        failure = "stopped"
        raise SystemExit(1) from None
    except BaseException as error:
        failure = f"{type(error).__name__}: {error}"
        raise
    finally:
        if options.json:
            record = Record(
                Path(file).stem, _arguments(sys.argv[1:]), script.quick, started.isoformat(timespec="seconds"),
                round(time.monotonic() - begin, 1), round(load, 1), commit_of_tree(), machine,
                {**versions_of(script.packages), **script.versions}, tuple(script.results), script.absent,
                tuple(script.notes), failure,
            )  # fmt: skip
            write_record(record, options.json)


def _arguments(argv: Sequence[str]) -> tuple[str, ...]:
    """The command line without `--json FILE`, which changes nothing of what is measured."""
    kept: list[Any] = []
    skip = False
    for word in argv:
        if not skip and not word.startswith("--json"):
            kept.append(word)
        skip = word == "--json"
    return tuple(kept)
