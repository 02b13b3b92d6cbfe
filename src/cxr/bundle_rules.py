"""What bundle.json may say: a bundle may come from anywhere; what it says is looked up on disk and computed with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any, Final

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
#: Far above any net's input: height times width of one image.
MAX_INPUT_PIXELS: Final = 1 << 26
#: Characters of a path, and bytes of what lies between two slashes in it: longer ones are no files anywhere.
MAX_PATH: Final = 1024
MAX_PART_BYTES: Final = 255
_TEXTS: Final = ("name", "origin", "format", "model_path", "positive_class", "manifest_hash", "task")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def check_document(raw: Mapping[str, Any]) -> None:
    """Raises ValueError or TypeError, in words, for a value of the wrong type, a number that is none, classes that are
    none, and a path that leads out of the bundle."""
    for name in _TEXTS:
        if name in raw and not isinstance(raw[name], str):
            raise TypeError(f"{name} is {raw[name]!r}, not a text")
    if _CONTROL.search(raw["name"]):
        raise ValueError(f"the name {raw['name']!r} has control characters")
    _check_classes(raw["classes"], raw["positive_class"])
    check_member(raw["model_path"], "model_path")
    _check_files(raw["files"])
    _check_numbers(raw["preprocessing"], "preprocessing", ("height", "width", "channels", "scale", "offset"))
    if raw["preprocessing"]["height"] * raw["preprocessing"]["width"] > MAX_INPUT_PIXELS:
        raise ValueError("the preprocessing's height and width are beyond any net's input")
    _check_numbers(raw["threshold"], "threshold", ("value",))
    if raw.get("calibration"):
        _check_numbers(raw["calibration"], "calibration", ("temperature",))
    for name in ("provenance", "versions"):
        if not isinstance(raw.get(name, {}), dict):
            raise TypeError(f"{name} is not a table")
    if not isinstance(raw.get("cost"), dict | None):
        raise TypeError("cost is not a table")
    if not isinstance(raw.get("stand_in", False), bool):
        raise TypeError("stand_in is neither true nor false")


def check_member(path: Any, what: str) -> None:
    """Raises ValueError unless this is a plain path below the bundle, on this system and others."""
    strange = not isinstance(path, str) or not path or "\\" in path or "\0" in path or len(path) > MAX_PATH
    parts = [] if strange else path.rstrip("/").split("/")
    astray = {"", "..", "."} & set(parts) or any(len(part.encode()) > MAX_PART_BYTES for part in parts)
    if strange or astray or PureWindowsPath(path).anchor:
        raise ValueError(f"{what} {path!r} leads out of the bundle, or is no path")


def check_inside(folder: Path, path: str) -> None:
    """Raises ValueError when a file of the bundle is behind a symbolic link that leads out of it."""
    if not (folder / path).resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"its file {path} is a link that leads out of the bundle")


def _check_classes(classes: Any, positive: str) -> None:
    if not isinstance(classes, list) or not classes or not all(isinstance(one, str) and one for one in classes):
        raise ValueError("classes is not a list of names")
    if len(set(classes)) != len(classes) or positive not in classes:
        raise ValueError(f"classes has a name twice, or lacks the positive class {positive!r}")
    if any(_CONTROL.search(one) for one in classes):
        raise ValueError("a class has control characters in its name")


def _check_files(files: Any) -> None:
    if not isinstance(files, Sequence):
        raise TypeError("files is not a list")
    for file in files:
        check_member(file["path"], "the file")
        if isinstance(file["size"], bool) or not isinstance(file["size"], int) or file["size"] < 0:
            raise ValueError(f"the size of {file['path']} is {file['size']!r}")
        if not isinstance(file["sha256"], str) or not _SHA256.fullmatch(file["sha256"]):
            raise ValueError(f"the sha256 of {file['path']} is {file['sha256']!r}")


def _check_numbers(table: Any, where: str, names: Sequence[str]) -> None:
    for name in names:
        value = table.get(name, 0) if isinstance(table, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not -1e18 < value < 1e18:
            raise ValueError(f"the {where}'s {name} is {value!r}, not a number")
