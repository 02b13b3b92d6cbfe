"""A transfer's plan on disk: JSON lines, so that it never has to fit into memory.

First a header, then one line for each object that would be made, replaced or is an orphan (sorted by name), last a line
with the totals, without which the file is not whole.
"""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from cxr.documents import parse_json
from cxr.errors import InputError
from cxr.files import atomic_path
from cxr.storage.store import Digest

SCHEMA: Final = "cxr.transfer-plan"
SCHEMA_VERSION: Final = 1

#: Bytes that no object has.
MAX_SIZE: Final = 1 << 63

Why = Literal["new", "changed", "orphan"]


@dataclass(frozen=True, slots=True)
class Action:
    """One line: send `name` (new or changed) over the object `version`, or an orphan of that version and size."""

    why: Why
    name: str
    version: str
    digest: Digest

    @property
    def is_orphan(self) -> bool:
        """Whether no file stands for the object."""
        return self.why == "orphan"


@dataclass(frozen=True, slots=True)
class Count:
    """So many objects of so many bytes."""

    files: int = 0
    size: int = 0

    def plus(self, size: int) -> Count:
        """One more."""
        return Count(self.files + 1, self.size + size)


@dataclass(frozen=True, slots=True)
class Totals:
    """What a plan counts."""

    new: Count = Count()
    changed: Count = Count()
    unchanged: Count = Count()
    orphan: Count = Count()

    @property
    def to_send(self) -> Count:
        """What is new or changed."""
        return Count(self.new.files + self.changed.files, self.new.size + self.changed.size)

    def with_action(self, action: Action) -> Totals:
        """The totals with one action more."""
        return replace(self, **{action.why: getattr(self, action.why).plus(action.digest.size)})


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan that lies at `path`; `header` says what it is for."""

    path: Path
    header: Mapping[str, Any]
    totals: Totals

    def actions(self) -> Iterator[Action]:
        """The actions in order of their names. Raises InputError for a line that is none."""
        with self.path.open(encoding="utf-8") as lines:
            next(lines, None)
            for number, line in enumerate(lines, 2):
                value = _object(self.path, number, line)
                if "totals" in value:
                    return
                yield _action(self.path, number, value)

    def uploads(self) -> Iterator[Action]:
        """What would be sent."""
        return (action for action in self.actions() if not action.is_orphan)

    def orphans(self) -> Iterator[Action]:
        """Objects that no file stands for."""
        return (action for action in self.actions() if action.is_orphan)

    def save(self, path: Path, **more: Any) -> None:
        """Save the plan under another name, with `more` in its header."""
        with (
            atomic_path(path) as temporary,
            temporary.open("w", encoding="utf-8") as lines,
            self.path.open(encoding="utf-8") as own,
        ):
            next(own)
            lines.write(json.dumps({**self.header, **more}) + "\n")
            shutil.copyfileobj(own, lines)


def write_plan(
    path: Path, header: Mapping[str, Any], actions: Iterable[Action], unchanged: Iterable[Count]
) -> PlanFile:
    """Write a plan as its actions come; `unchanged` is asked, once they are all there, for what needs nothing."""
    totals = Totals()
    whole_header = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **header}
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as lines:
        lines.write(json.dumps(whole_header) + "\n")
        for action in actions:
            totals = totals.with_action(action)
            lines.write(json.dumps(_line(action)) + "\n")
        totals = replace(totals, unchanged=next(iter(unchanged)))
        lines.write(json.dumps({"totals": asdict(totals)}) + "\n")
    return PlanFile(path, whole_header, totals)


def read_plan(path: Path) -> PlanFile:
    """Read a saved plan's header and totals. Raises InputError when it is not a whole plan of a known version."""
    try:
        with path.open(encoding="utf-8") as lines:
            first = next(lines, "")
            last = deque(lines, maxlen=1).pop() if first else ""
    except FileNotFoundError:
        raise InputError(f"there is no plan {path}", hint="save one with --plan FILE") from None
    except (UnicodeDecodeError, IndexError, IsADirectoryError):
        raise _not_a_plan(path) from None
    header = _object(path, 1, first)
    if header.get("schema") != SCHEMA or header.get("schema_version") != SCHEMA_VERSION:
        raise _not_a_plan(path)
    with suppress(InputError, KeyError, TypeError, AttributeError, ValueError, OverflowError):
        counted = _object(path, 0, last)["totals"]
        totals = Totals(**{why: Count(int(count["files"]), int(count["size"])) for why, count in counted.items()})
        return PlanFile(path, header, totals)
    raise InputError(f"the plan {path} is not whole", hint="save it again with --plan FILE")


def _line(action: Action) -> dict[str, Any]:
    known = {key: value for key, value in asdict(action.digest).items() if value or key == "size"}
    return {"why": action.why, "name": action.name, "version": action.version, **known}


def _action(path: Path, number: int, value: Mapping[str, Any]) -> Action:
    texts = {key: value.get(key, "") for key in ("why", "name", "version", "crc32c", "md5", "sha256")}
    size = value.get("size")
    if (
        not all(isinstance(text, str) for text in texts.values())
        or texts["why"] not in {"new", "changed", "orphan"}
        or not isinstance(size, int)
        or isinstance(size, bool)
        or not 0 <= size < MAX_SIZE
    ):
        raise InputError(f"{path}, line {number}: this is no action of a plan", hint="save it again with --plan FILE")
    digest = Digest(size, texts["crc32c"], texts["md5"], texts["sha256"])
    return Action(texts["why"], texts["name"], texts["version"], digest)


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    with suppress(ValueError):
        value = parse_json(line)
        if isinstance(value, dict):
            return value
    if number <= 1:
        raise _not_a_plan(path)
    raise InputError(f"{path}, line {number}: this is not JSON", hint="save the plan again with --plan FILE")


def _not_a_plan(path: Path) -> InputError:
    return InputError(f"{path} is not a transfer plan of this version", hint="save one with --plan FILE")
