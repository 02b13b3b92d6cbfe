"""Predictions that another program made, from image names and scores to a row for each image.

In a CSV file there is one row an image: a column that names it (`path`, `image`, `file`, `filename`, `image_path`,
`id`) and either one column with the positive class's probability (`score`, `probability`, `prediction`, `p_CLASS`,
`CLASS`) or one for each class (`p_CLASS` or `CLASS`). Nothing is guessed beyond that: what does not fit is refused by
line. The files of a batch prediction become the same table (batch_answers.py).
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cxr.bundle import Threshold
from cxr.compare.predictors.base import TOLERANCE, Probabilities
from cxr.errors import InputError
from cxr.local_baseline.judging.threshold import youden_threshold
from cxr.manifests.manifest import Manifest

PATH_COLUMNS = ("path", "image", "image_path", "file", "filename", "file_name", "id")
SCORE_COLUMNS = ("score", "probability", "prediction")
VALIDATION = "validation"
HALF = Threshold(0.5, chosen_by="convention", chosen_on="nothing")
#: With fewer validation images of a class than this a threshold chosen on them is said to be chance's.
ENOUGH_IMAGES = 20
_Reader = Any  # csv's own type has no public name in Python 3.11
#: How far the probabilities of an image's classes may be from adding up to one.
SUM_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores as they stand in a file (or several): name -> (where it stands, one score a column). `columns` are class
    numbers; a single one is the positive class's. `failures`: name -> why its model gave it no score. `sha256` is of
    the file, or of the checksums of several."""

    place: str
    columns: tuple[int, ...]
    rows: Mapping[str, tuple[str, tuple[float, ...]]]
    failures: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""


def read_score_table(path: Path, classes: Sequence[str], positive_class: str) -> ScoreTable:
    """Read the file. Raises InputError, with line and value, for columns that are not known, what is no number in
    0..1, an image with two different rows, and a file without rows."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        return replace(_table(reader, path, classes, positive_class), sha256=hashlib.sha256(data).hexdigest())
    except csv.Error as error:  # a cell of more than 131,072 characters, most often a quotation mark that is not closed
        raise InputError(f"{path}, line {reader.line_num}: this is no CSV: {error}") from error


def _table(reader: _Reader, path: Path, classes: Sequence[str], positive_class: str) -> ScoreTable:
    header = [name.strip() for name in next(reader, [])]
    name_column = _name_column(header, path)
    columns = _score_columns(header, classes, positive_class, path)
    rows: dict[str, tuple[str, tuple[float, ...]]] = {}
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        line = f"line {reader.line_num}"
        if len(cells) != len(header):
            raise InputError(f"{path}, {line}: {len(cells)} cells, the header has {len(header)}")
        name = cells[name_column].strip()
        scores = tuple(score_of(cells[column], f"{path}, {line}, {header[column]}") for column in columns)
        if rows.setdefault(name, (line, scores))[1] != scores:
            raise InputError(f"{path}, {line}: {name} has other scores than in {rows[name][0]}")
    if not rows:
        raise InputError(f"{path} has no rows below its header")
    return ScoreTable(str(path), tuple(columns.values()), rows)


def probabilities_for(table: ScoreTable, manifest: Manifest, split: str) -> Probabilities:
    """The table's probabilities float64 [N, K] in the order of the split's rows and the manifest's classes. Images are
    found by their path, or by the end of it where that is unambiguous.

    Raises InputError for images without a score, for names that fit several images, and for probabilities of an image
    that do not add up to one.
    """
    paths = manifest.split(split)["path"].tolist()
    found = _matched(table, manifest, paths)
    missing = [path for path in paths if path not in found]
    if missing:
        reason = _failure(table, missing[0])
        raise InputError(
            f"{table.place} has no score for {len(missing):,} of {len(paths):,} {split} images, first {missing[0]}"
            f"{f' ({reason})' if reason else ''}",
            hint="a comparison needs all of them: leaving out the hard ones would flatter a model",
        )
    values = np.array([found[path][1] for path in paths], dtype=np.float64).clip(0.0, 1.0)
    if len(table.columns) == 1:
        made = np.empty((len(paths), 2))
        made[:, table.columns[0]] = values[:, 0]
        made[:, 1 - table.columns[0]] = 1.0 - values[:, 0]
        return made
    made = np.empty_like(values)
    made[:, list(table.columns)] = values
    wrong = np.abs(made.sum(axis=1) - 1.0) > SUM_TOLERANCE
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{table.place}, {found[paths[row]][0]}: the classes' probabilities add up to {made[row].sum():.3f}",
            hint="give probabilities (softmax), not scores",
        )
    return np.asarray(made / made.sum(axis=1, keepdims=True), dtype=np.float64)


def threshold_of(table: ScoreTable, manifest: Manifest, given: float | None) -> Threshold:
    """The threshold that was given; else the one of the largest Youden index on the manifest's validation split, where
    the table has it; else 0.5. Nothing is chosen on the test split. Raises InputError for a mere part of validation."""
    if given is not None:
        return Threshold(given, chosen_by="whoever made the predictions", chosen_on="not known here")
    rows = manifest.split(VALIDATION)
    if rows["label"].nunique() < 2 or not _matched(table, manifest, rows["path"].tolist()):
        return HALF
    probabilities = probabilities_for(table, manifest, VALIDATION)
    positive = (rows["label"] == manifest.positive_class).to_numpy()
    column = manifest.classes.index(manifest.positive_class)
    chosen = youden_threshold(probabilities[:, column], positive, VALIDATION)
    return replace(chosen, chosen_by=f"{chosen.chosen_by} of {len(rows):,} images")


def few_to_choose_on(threshold: Threshold, manifest: Manifest) -> str:
    """What is to be said of a threshold that was chosen here on few images of a class; else empty."""
    if threshold.chosen_on != VALIDATION:
        return ""
    positive = manifest.split(VALIDATION)["label"] == manifest.positive_class
    found, others = int(positive.sum()), int((~positive).sum())
    if min(found, others) >= ENOUGH_IMAGES:
        return ""
    return (
        f"the threshold was chosen on {found:,} validation images of {manifest.positive_class} and {others:,} others: "
        "on so few chance decides it"
    )


def _name_column(header: Sequence[str], path: Path) -> int:
    found = [number for number, name in enumerate(header) if name.lower() in PATH_COLUMNS]
    if len(found) != 1:
        what = "no column names the images" if not found else "several columns could name the images"
        raise InputError(
            f"{path}: {what}; call it path (its columns: {', '.join(header) or 'none'})",
            hint=_hint_of(header),
        )
    return found[0]


def _hint_of(header: Sequence[str]) -> str:
    """What a single column that holds other separators tells."""
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            return f"its columns are separated by {name}: write it with commas, and decimals with points"
    return "path,score is enough of a header"


def _score_columns(header: Sequence[str], classes: Sequence[str], positive_class: str, path: Path) -> dict[int, int]:
    """Column -> class number."""
    lowered = [name.lower() for name in header]
    each: dict[int, int] = {}
    for number, name in enumerate(classes):
        named = [column for column, found in enumerate(lowered) if found in {name.lower(), f"p_{name}".lower()}]
        if len(named) > 1:
            raise InputError(f"{path}: {' and '.join(header[column] for column in named)} both name {name}")
        each.update(dict.fromkeys(named, number))
    positive = list(classes).index(positive_class)
    single = [column for column, name in enumerate(lowered) if name in SCORE_COLUMNS]
    if each and single:
        raise InputError(f"{path} has both {header[single[0]]} and columns of classes: leave one of them out")
    if len(each) == len(classes) or (len(classes) == 2 and list(each.values()) == [positive]):
        return each
    if len(classes) == 2 and len(single) == 1:
        return {single[0]: positive}
    wanted = ", ".join(f"p_{name}" for name in classes)
    one = f"score (the probability of {positive_class}) or " if len(classes) == 2 else ""
    raise InputError(
        f"{path} needs the columns {one}{wanted}; it has {', '.join(header)}",
        hint="where the scores are of another task than the manifest's labels: --task binary or --task three-class",
    )


def score_of(cell: str, where: str) -> float:
    """A probability, as it stands at `where`. Raises InputError for what is none."""
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not -TOLERANCE <= value <= 1 + TOLERANCE:
        raise InputError(
            f"{where}: {cell.strip() or 'nothing'} is no probability",
            hint="probabilities lie in 0..1",
        )
    return value


def _failure(table: ScoreTable, path: str) -> str:
    """Why an image has no score, where its model said so."""
    return next((reason for name, reason in table.failures.items() if _same_end(path, name)), "")


def _matched(table: ScoreTable, manifest: Manifest, paths: Sequence[str]) -> dict[str, tuple[str, tuple[float, ...]]]:
    """Path in the manifest -> its row in the table."""
    found = {path: table.rows[path] for path in paths if path in table.rows}
    if len(found) == len(paths):
        return found
    by_name: dict[str, list[str]] = {}
    for path in manifest.frame["path"]:
        by_name.setdefault(_base_name(path), []).append(path)
    wanted = set(paths)
    for name, row in table.rows.items():
        ends = [path for path in by_name.get(_base_name(name), ()) if _same_end(path, name)]
        if len(ends) > 1 and name not in ends and wanted.intersection(ends):
            raise InputError(f"{table.place}, {row[0]}: {name} could be {ends[0]} or {ends[1]}; give whole paths")
        if len(ends) != 1 or ends[0] not in wanted or ends[0] == name:
            continue
        if found.setdefault(ends[0], row)[1] != row[1]:
            raise InputError(f"{table.place}, {found[ends[0]][0]} and {row[0]} both score {ends[0]}, and not alike")
    return found


def _base_name(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _same_end(path: str, name: str) -> bool:
    """Whether one of the two is the end of the other, folder by folder."""
    ours, theirs = path.split("/"), name.replace("\\", "/").split("/")
    shorter = min(len(ours), len(theirs))
    return ours[-shorter:] == theirs[-shorter:]
