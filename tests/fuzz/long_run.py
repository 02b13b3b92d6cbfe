"""Fuzzing for as long as one likes: `make fuzz MINUTES=10`. Each crash is told once and its input is kept.

Exits with 1 when there was one. An input that is kept goes into the corpus once the reader is mended.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz_emulator import SERVER
from fuzz_mutations import mutant
from fuzz_running import Crash, feed
from fuzz_targets import READERS, Target

#: Inputs that a target gets in a row.
ROUND = 200


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", help="the name of one target")
    parser.add_argument("--keep", type=Path, default=Path("artefacts/fuzz"), help="where inputs that crash are kept")
    given = parser.parse_args()
    targets = [one for one in (*READERS, *SERVER) if given.only in (None, one.name)]
    print(f"{len(targets)} targets for {given.minutes:g} minutes, --seed {given.seed}", flush=True)
    fed, crashes = _run(targets, given.minutes * 60, random.Random(given.seed), given.keep)
    print(f"{fed:,} inputs, {len(crashes)} different crashes")
    return 1 if crashes else 0


def _run(targets: list[Target], seconds: float, chance: random.Random, keep: Path) -> tuple[int, Counter[str]]:
    end = time.monotonic() + seconds
    fed, seen = 0, Counter[str]()
    with TemporaryDirectory(prefix="cxr-fuzz-") as scratch:
        while time.monotonic() < end:
            for target in targets:
                place = Path(scratch, target.name)
                place.mkdir(exist_ok=True)
                seeds = target.seeds
                for _ in range(ROUND):
                    crash = feed(target, mutant(seeds, chance), place)
                    fed += 1
                    if crash is not None:
                        _tell(crash, seen, keep)
                if time.monotonic() >= end:
                    break
    return fed, seen


def _tell(crash: Crash, seen: Counter[str], keep: Path) -> None:
    """A crash is another one when it comes from another line."""
    where = traceback.extract_tb(crash.error.__traceback__)[-1]
    key = f"{crash.target}: {type(crash.error).__name__} at {Path(where.filename).name}:{where.lineno}"
    seen[key] += 1
    if seen[key] > 1:
        return
    keep.mkdir(parents=True, exist_ok=True)
    path = keep / f"{crash.target}-{len(seen):03d}"
    path.write_bytes(crash.data)
    print(f"{key}: {str(crash.error)[:200]!r}\n  kept in {path}", flush=True)
    ours = [frame for frame in traceback.extract_tb(crash.error.__traceback__) if "cxr" in frame.filename]
    for frame in ours[-3:]:
        print(f"    {frame.filename}:{frame.lineno} {frame.line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
