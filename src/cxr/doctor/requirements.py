"""What cxr asks for, by its own metadata, and whether what is installed fits.

`packaging` would read all of this; it is not among the packages that cxr always has, and the metadata of cxr itself
uses little of the grammar (PEP 508: name, extras, comparisons, `extra == "x"` and `sys_platform`).
"""

from __future__ import annotations

import operator
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Final

#: Extras that are not looked at by themselves: `all` is the others, `trainer` is for a job's container.
NOT_SHOWN: Final = frozenset({"all", "trainer"})
_LINE = re.compile(r"^(?P<name>[\w.-]+)\s*(?:\[(?P<extras>[^\]]*)\])?\s*(?P<spec>[^;]*?)\s*(?:;\s*(?P<marker>.*))?$")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([\w-]+)['"]""")
_PLATFORM = re.compile(r"""sys_platform\s*(==|!=)\s*['"](\w+)['"]""")
_OPERATORS: Final[Mapping[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Package:
    """One package that is asked for: by which comparisons, and the version that is here ("" for none)."""

    name: str
    required: str
    installed: str

    @property
    def fits(self) -> bool:
        """Whether what is installed is what is asked for."""
        return bool(self.installed) and satisfies(self.installed, self.required)


def wanted() -> dict[str, list[Package]]:
    """Extra ("" for what is always needed) -> its packages, by the metadata of the cxr that runs.

    Raises importlib.metadata.PackageNotFoundError when cxr is not installed but merely on the path.
    """
    lines = metadata.requires("cxr") or []
    extras = metadata.metadata("cxr").get_all("Provides-Extra") or []
    shown = [name for name in extras if name not in NOT_SHOWN]
    return {extra: [_package(*one) for one in sorted(set(_asked(lines, extra)))] for extra in ("", *shown)}


def satisfies(version: str, comparisons: str) -> bool:
    """Whether a version fits `>=1.2,<2`. What is not a plain comparison of numbers is taken to fit."""
    mine = _numbers(version)
    for one in filter(None, (part.strip() for part in comparisons.strip("() ").split(","))):
        found = re.fullmatch(r"(>=|<=|==|!=|>|<)\s*([\d.]+)", one)
        if found and not _OPERATORS[found[1]](*_same_length(mine, _numbers(found[2]))):
            return False
    return True


def _asked(lines: list[str], extra: str) -> Iterator[tuple[str, str]]:
    for line in lines:
        found = _LINE.match(line)
        if found is None or not _applies(found["marker"] or "", extra):
            continue
        if found["name"] != "cxr":
            yield found["name"], found["spec"].strip("() ")
            continue
        for inner in (found["extras"] or "").split(","):
            yield from _asked(lines, inner.strip())


def _applies(marker: str, extra: str) -> bool:
    named = _EXTRA.search(marker)
    if (named[1] if named else "") != extra:
        return False
    platform = _PLATFORM.search(marker)
    return platform is None or (sys.platform == platform[2]) is (platform[1] == "==")


def _package(name: str, spec: str) -> Package:
    try:
        return Package(name, spec, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Package(name, spec, "")


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _same_length(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    length = max(len(one), len(other))
    return one + (0,) * (length - len(one)), other + (0,) * (length - len(other))
