"""What importing knows of a model before and after it has been looked into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from cxr.bundle import Bundle, ModelFormat, Preprocessing
from cxr.importing.labels import Labels


class Maker(StrEnum):
    """Which program wrote the files, in the words that a user reads."""

    AUTOML = "AutoML"
    TEACHABLE_MACHINE = "Teachable Machine"
    UNKNOWN = "an unknown program"


@dataclass(frozen=True, slots=True)
class Found:
    """A model in a folder, by its files alone.

    `model` is the file, or the folder for saved-model and tf-js; `companions` are files that go into the bundle beside
    it. `labels` and `contract` are None where the files do not tell; `signs` says what it was recognised by.
    """

    maker: Maker
    format: ModelFormat
    model: Path
    labels: Labels | None
    contract: Preprocessing | None
    signs: str
    companions: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Input:
    """A model's input as its file declares it: sizes in pixels (None: open), whether it is in 8 bits, and whether the
    model decodes image files by itself."""

    height: int | None
    width: int | None
    channels: int | None
    eight_bit: bool = False
    takes_files: bool = False


class ModelReader(Protocol):
    """Loads models; this package does not."""

    def input_of(self, model: Path, form: ModelFormat) -> Input:
        """The input. Raises MissingPackage without the format's runtime, InputError for what cannot be loaded."""

    def labels(self, saved_model: Path) -> Labels:
        """The labels that a SavedModel which takes image files gives with its scores."""

    def convert_keras(self, model: Path, target: Path) -> None:
        """Write a Keras file of an older format anew as `.keras`."""

    def score(self, bundle: Bundle) -> Sequence[float]:
        """The probabilities of one image, in the order of the bundle's classes. Raises InputError when the model does
        not fit what the bundle says of it."""
