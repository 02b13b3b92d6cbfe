"""What an earlier comparison left in the folder that is written to again: its cards and predictions would be taken for
those of this one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.compare.nouns import Comparison, RowKind, predictions_folder
from cxr.compare.predictions.table import HEADER_FILE, ROWS_FILE
from cxr.compare.results.document import SCHEMA
from cxr.compare.results.model_card import CARD_FILE, folder_names
from cxr.compare.results.model_card import FOLDER as CARDS_FOLDER
from cxr.documents import parse_json

HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class EarlierModel:
    """A model that the earlier results.json names: the folder of its card, and its bundle's hash."""

    card_folder: str
    bundle_hash: str


def earlier_run(results_path: Path) -> tuple[EarlierModel, ...]:
    """The models that results.json names; none where there is no such file, or one that is not a comparison's."""
    try:
        document: Any = parse_json(results_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    if not isinstance(document, dict) or document.get("schema") != SCHEMA or not isinstance(document.get("rows"), list):
        return ()
    models = [row for row in document["rows"] if isinstance(row, dict) and row.get("kind") == RowKind.MODEL]
    names = folder_names([str(row.get("name", "")) for row in models])
    return tuple(
        EarlierModel(name, digest)
        for name, row in zip(names, models, strict=True)
        if isinstance(row.get("bundle"), dict) and HASH.fullmatch(digest := str(row["bundle"].get("hash", "")))
    )


def remove_stale(earlier: tuple[EarlierModel, ...], comparison: Comparison) -> None:
    """Remove the earlier models' cards and predictions where this comparison has written none in their place. Only
    files that name the earlier bundle are touched, and folders only when nothing else is in them."""
    cards = set(folder_names([row.name for row in comparison.models]))
    bundles = {row.bundle.hash for row in comparison.models if row.bundle}
    for model in earlier:
        if model.card_folder not in cards:
            folder = comparison.output / CARDS_FOLDER / model.card_folder
            _remove(folder, [CARD_FILE], names_bundle=folder / CARD_FILE, digest=model.bundle_hash)
        if model.bundle_hash not in bundles:
            folder = predictions_folder(comparison.output, model.bundle_hash)
            _remove(folder, [HEADER_FILE, ROWS_FILE], names_bundle=folder / HEADER_FILE, digest=model.bundle_hash)


def _remove(folder: Path, files: list[str], *, names_bundle: Path, digest: str) -> None:
    # A link leads to somebody else's folder.
    if any(part.is_symlink() for part in (folder, folder.parent)) or digest not in _text(names_bundle):
        return
    for path in (folder / name for name in files):
        if path.is_file():
            path.unlink()
    for empty in _empty_ones(folder):
        empty.rmdir()


def _empty_ones(folder: Path) -> Iterator[Path]:
    """The folder, where nothing is left in it, and then the one that it lies in."""
    for place in (folder, folder.parent):
        if any(place.iterdir()):
            return
        yield place


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
