"""Which items an AutoML pipeline trains, validates and tests on.

Source: InputDataConfig, FilterSplit and FractionSplit of google.cloud.aiplatform.v1.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cxr.cloud.emulator.errors import RpcError, invalid_argument, unimplemented
from cxr.cloud.emulator.vertex_api.filtering import Filter, parse_filter

SETS = ("training", "validation", "test")
ITEM_FIELDS = {"labels": "labels", "labels.*": "labels"}
MIN_LABELS, MAX_LABELS = 2, 5000
MIN_IMAGES_A_LABEL = 10
DEFAULT_FRACTIONS = (0.8, 0.1, 0.1)


@dataclass(frozen=True, slots=True)
class TrainingItem:
    """One image for the trainer; `ml_use` is training, validation or test."""

    uri: str
    label: str
    ml_use: str


def check_split(config: Mapping[str, Any]) -> None:
    """Raise 400 (or 501) for a split that the service (or this emulator) does not accept."""
    kinds = [key for key in config if key.endswith("Split")]
    if len(kinds) > 1:
        raise invalid_argument("At most one split may be set.", field="input_data_config.split")
    if kinds and kinds[0] not in {"filterSplit", "fractionSplit"}:
        raise unimplemented(f"inputDataConfig.{kinds[0]}")
    if "filterSplit" in config:
        _filters(config["filterSplit"])
    if "fractionSplit" in config:
        _fractions(config["fractionSplit"])


def split_items(
    connection: sqlite3.Connection, dataset: str, config: Mapping[str, Any], seed: str
) -> list[TrainingItem]:
    """The labelled items of a dataset with their sets. `seed` fixes the random split.

    Raises 400 when they are too few: at least two labels, ten images a label, and no empty set.
    """
    items = assigned_items(connection, dataset, config, seed)
    problem = too_few(items)
    if problem is not None:
        raise problem
    return items


def assigned_items(
    connection: sqlite3.Connection, dataset: str, config: Mapping[str, Any], seed: str
) -> list[TrainingItem]:
    """The same, however many there are: what custom training gets."""
    rows = connection.execute(
        "SELECT uri, label, labels, digest FROM data_items WHERE dataset=? AND label<>'' ORDER BY serial", (dataset,)
    ).fetchall()
    if "filterSplit" in config:
        return _by_filter(rows, _filters(config["filterSplit"]))
    return _at_random(rows, _fractions(config.get("fractionSplit", {})), seed)


def too_few(items: Sequence[TrainingItem]) -> RpcError | None:
    """Why the service would not train on these items; None when it would."""
    labels = Counter(item.label for item in items)
    if len(labels) < MIN_LABELS:
        return invalid_argument(
            f"At least {MIN_LABELS} labels are needed for training; there are {len(labels)}: {sorted(labels)}."
        )
    if len(labels) > MAX_LABELS:
        return invalid_argument(f"At most {MAX_LABELS} labels are allowed; there are {len(labels)}.")
    scarce = [f"{label} has {count}" for label, count in sorted(labels.items()) if count < MIN_IMAGES_A_LABEL]
    if scarce:
        return invalid_argument(f"Each label needs at least {MIN_IMAGES_A_LABEL} images: {', '.join(scarce)}.")
    sizes = Counter(item.ml_use for item in items)
    empty = [name for name in SETS if not sizes[name]]
    if empty:
        return invalid_argument(f"The {empty[0]} set is empty; it needs at least one labelled image.")
    return None


def _filters(config: Mapping[str, str]) -> tuple[Filter | None, ...]:
    filters: list[Filter | None] = []
    for name in SETS:
        text = config.get(f"{name}Filter", "")
        if not text:
            raise invalid_argument(f"Required field is not set: {name}_filter.", field=f"filter_split.{name}_filter")
        filters.append(None if text.strip() == "-" else parse_filter(text, ITEM_FIELDS))
    return tuple(filters)


def _fractions(config: Mapping[str, float]) -> tuple[float, float, float]:
    given = [float(config.get(f"{name}Fraction", 0.0)) for name in SETS]
    if any(not 0.0 <= value <= 1.0 for value in given) or sum(given) > 1.0 + 1e-9:
        raise invalid_argument(
            "The fractions must lie between 0 and 1 and sum up to at most 1.", field="fraction_split"
        )
    if not any(given):
        return DEFAULT_FRACTIONS
    training, validation, test = given
    return training + max(0.0, 1.0 - sum(given)), validation, test


def _by_filter(rows: Sequence[sqlite3.Row], filters: Sequence[Filter | None]) -> list[TrainingItem]:
    items: list[TrainingItem] = []
    for row in rows:
        labels = {"labels": json.loads(row["labels"])}
        for name, wanted in zip(SETS, filters, strict=True):
            # An item that several filters match goes to the first of training, validation, test.
            if wanted is not None and wanted.matches(labels):
                items.append(TrainingItem(row["uri"], row["label"], name))
                break
    return items


def _at_random(rows: Sequence[sqlite3.Row], fractions: Sequence[float], seed: str) -> list[TrainingItem]:
    shuffled = sorted(rows, key=lambda row: hashlib.sha256(f"{seed}{row['digest']}".encode()).digest())
    validation, test = (max(round(len(rows) * fraction), int(fraction > 0)) for fraction in fractions[1:])
    training = len(rows) - validation - test
    names = ["training"] * training + ["validation"] * validation + ["test"] * test
    chosen = {row["digest"]: name for row, name in zip(shuffled, names, strict=False)}
    return [TrainingItem(row["uri"], row["label"], chosen.get(row["digest"], "training")) for row in rows]
