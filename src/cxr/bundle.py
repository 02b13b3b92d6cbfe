"""The Bundle noun: a folder with a model that can be judged and shipped, and `bundle.json`, which says what it is.

Invariants: classes stand in the order of the model's outputs; every file is listed with its sha256; the preprocessing
contract is the one the model was trained with; `manifest_hash` names the split that it was trained on.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from cxr.bundle_rules import check_document, check_inside
from cxr.documents import parse_json
from cxr.errors import InputError
from cxr.files import sha256_of_file, write_text_atomically

BUNDLE_FILE = "bundle.json"
#: What desktops leave in every folder that somebody looks at.
DESKTOP_FILES = {".DS_Store", "Thumbs.db", "desktop.ini"}
SCHEMA_VERSION = 1
RESIZE = "antialiased-triangle"


class Aspect(StrEnum):
    """What becomes of an image's aspect ratio: see Preprocessing."""

    SQUASH = "squash"
    CENTER_CROP = "center-crop"
    PAD = "pad"


class ModelFormat(StrEnum):
    """The kinds of model file that a bundle can hold."""

    KERAS = "keras"
    SAVED_MODEL = "saved-model"
    TFLITE = "tflite"
    TFJS = "tf-js"
    ONNX = "onnx"
    CORE_ML = "core-ml"
    #: No model: what a model that stays on a service answered for one manifest's test images.
    PREDICTIONS = "predictions"


class Origin(StrEnum):
    """Who trained the model."""

    BASELINE = "baseline"
    CUSTOM_JOB = "custom-job"
    AUTOML = "automl"
    #: By another program; `cxr export import` made a bundle of it.
    IMPORTED = "imported"


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a file becomes the model's input: declared once, obeyed in every language.

    Decode (accurate integer DCT; EXIF orientation, colour profile and gamma are not applied; palettes are looked up,
    transparency is dropped, CMYK becomes RGB by multiplying with what is left of black; of more than 8 bits grey keeps
    all, divided by 257, and colour the upper 8) -> `channels` (1: ITU-R 601 luma in whole numbers, (19595 R + 38470 G +
    7471 B + 32768) >> 16; 3: RGB) ->
    `aspect` (squash: ignore the aspect ratio; center-crop: the largest centred square; pad: the whole image at its own
    aspect ratio, `inside` the input, black around it) -> antialiased triangle filter to height x width, along the rows,
    then along the columns (sums in float64, float32 between the two) -> round half to even -> uint8. The golden images
    (`cxr.golden`) are the proof. The model's input is those values: [N, height, width, channels], 0..255.
    `scale` and `offset` (x * scale + offset) are applied *inside* the model when `scale_inside_model`, otherwise by
    whoever feeds it.
    """

    height: int
    width: int
    channels: Literal[1, 3]
    aspect: Literal["squash", "center-crop", "pad"] = "squash"
    resize: Literal["antialiased-triangle"] = "antialiased-triangle"
    scale: float = 1.0 / 255.0
    offset: float = 0.0
    scale_inside_model: bool = True

    def __post_init__(self) -> None:
        # What is not known must not become the default: a bundle may have been written by another program.
        for name, known in (("channels", (1, 3)), ("aspect", tuple(Aspect)), ("resize", (RESIZE,))):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(
                    f"the preprocessing's {name} {value!r} is not known (only {', '.join(map(str, known))})"
                )
        for name in ("height", "width"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"the preprocessing's {name} {getattr(self, name)!r} is no number of pixels")

    def inside(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that an image of height x width is resized to: all of the input, or with pad the largest
        that keeps its aspect ratio and fits, the shorter side rounded half up (at least 1).

        The image is centred: (self.height - height) // 2 black rows above it, likewise columns to its left.
        """
        if self.aspect != "pad":
            return self.height, self.width
        if height * self.width >= width * self.height:
            return self.height, max(1, (2 * width * self.height + height) // (2 * height))
        return max(1, (2 * height * self.width + width) // (2 * width)), self.width

    @property
    def key(self) -> str:
        """A short digest of what decides the pixels (not the scale): names caches."""
        pixels = (self.height, self.width, self.channels, self.aspect, self.resize)
        return hashlib.sha256(repr(pixels).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Threshold:
    """The operating point that travels inside the model: positive when the positive class's probability (calibrated,
    where the bundle has a calibration) >= value."""

    value: float
    chosen_by: str
    chosen_on: str
    sensitivity: float | None = None
    specificity: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the model's probabilities become calibrated ones: with the scores divided by `temperature` before the softmax
    (or the sigmoid); see `cxr.local_baseline.judging.calibration`. Above 1 the model was too sure of itself, below 1
    not sure enough. The threshold is on the calibrated probability.

    `images` is how many were scored for it (chosen on corrupted copies: every copy counts), `cross_entropy_before` and
    `cross_entropy` are their mean loss in nats. `inside_model`: the model's outputs are calibrated already (those of
    exports are), and nobody does it again.
    """

    method: Literal["temperature"]
    temperature: float
    chosen_by: str
    chosen_on: str
    images: int
    cross_entropy_before: float
    cross_entropy: float
    inside_model: bool = False

    def __post_init__(self) -> None:
        if self.method != "temperature":
            raise ValueError(f"the calibration {self.method!r} is not known")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"the temperature {self.temperature!r} is not a positive number")


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of the bundle: POSIX path relative to the folder, size in bytes, sha256 in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """What `bundle.json` says.

    `model_path` is the file (or folder, for saved-model, tf-js and core-ml) that is scored, relative to the bundle.
    `classes` are in the order of the outputs; a model with one sigmoid output gives the probability of `classes[1]`.
    `provenance` holds recipe, seed, epochs, weights, job name, seconds of training and the like, as plain JSON values.
    """

    name: str
    origin: Origin
    format: ModelFormat
    model_path: str
    classes: tuple[str, ...]
    positive_class: str
    preprocessing: Preprocessing
    threshold: Threshold
    manifest_hash: str
    task: str = "binary"
    stand_in: bool = False
    files: tuple[BundleFile, ...] = ()
    calibration: Calibration | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    cost: Mapping[str, Any] | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk."""

    folder: Path
    info: BundleInfo

    @property
    def model_path(self) -> Path:
        """The model file or folder on disk."""
        return self.folder / self.info.model_path

    @property
    def hash(self) -> str:
        """sha256 of the canonical bundle.json, which in turn holds the sha256 of every file."""
        return hashlib.sha256(_canonical(self.info).encode()).hexdigest()

    @property
    def model_size_bytes(self) -> int:
        """Bytes of the model that is scored (all files of it, when it is a folder)."""
        prefix = self.info.model_path.rstrip("/")
        return sum(file.size for file in self.info.files if file.path == prefix or file.path.startswith(prefix + "/"))


def write_bundle(folder: Path, info: BundleInfo) -> Bundle:
    """List every file of `folder` into `info` and write bundle.json last: a folder without it is no bundle."""
    files = tuple(
        BundleFile(path.relative_to(folder).as_posix(), path.stat().st_size, sha256_of_file(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != BUNDLE_FILE
    )
    listed = BundleInfo(**{**_shallow(info), "files": files})
    write_text_atomically(folder / BUNDLE_FILE, json.dumps(_document(listed), indent=2) + "\n")
    return Bundle(folder, listed)


def with_decision(
    bundle: Bundle, threshold: Threshold, calibration: Calibration | None, *, keep_file: bool = False
) -> Bundle:
    """The bundle with another threshold and calibration, and so another hash. bundle.json is written anew, whole or not
    at all (with `keep_file` it is left as it is); the other files stay as they are."""
    info = replace(bundle.info, threshold=threshold, calibration=calibration)
    if not keep_file and info != bundle.info:
        write_text_atomically(bundle.folder / BUNDLE_FILE, json.dumps(_document(info), indent=2) + "\n")
    return Bundle(bundle.folder, info)


def read_bundle(folder: Path, *, verify: bool = True) -> Bundle:
    """Read and check a bundle. Raises InputError naming the folder and what is wrong: absent or unreadable
    bundle.json, unknown schema version, or (with `verify`) a file that is missing or has changed."""
    path = folder / BUNDLE_FILE
    try:
        raw = parse_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder} is not a bundle: it has no {BUNDLE_FILE}",
            hint="make one with: cxr baseline train, or cxr cloud export",
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    info = _info_from(raw, path)
    if verify:
        _verify_files(folder, info)
    return Bundle(folder, info)


def _info_from(raw: Any, path: Path) -> BundleInfo:
    if not isinstance(raw, dict) or raw.get("schema_version") != SCHEMA_VERSION:
        found = raw.get("schema_version") if isinstance(raw, dict) else None
        raise InputError(f"{path}: schema version {found!r}, this program reads {SCHEMA_VERSION}")
    try:
        check_document(raw)
        return BundleInfo(
            **{
                **raw,
                "origin": Origin(raw["origin"]),
                "format": ModelFormat(raw["format"]),
                "classes": tuple(raw["classes"]),
                "preprocessing": Preprocessing(**raw["preprocessing"]),
                "threshold": Threshold(**raw["threshold"]),
                "calibration": Calibration(**raw["calibration"]) if raw.get("calibration") else None,
                "files": tuple(BundleFile(**file) for file in raw["files"]),
            }
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not a bundle description: {error}") from error


def _verify_files(folder: Path, info: BundleInfo) -> None:
    try:
        for name in (*(file.path for file in info.files), info.model_path):
            check_inside(folder, name)
    except ValueError as error:
        raise InputError(f"{folder} is not to be trusted: {error}", hint="copy the file itself into it") from error
    for file in info.files:
        path = folder / file.path
        if not path.is_file():
            raise InputError(f"the bundle {folder} lacks its file {file.path}")
        if path.stat().st_size != file.size or sha256_of_file(path) != file.sha256:
            raise InputError(f"the bundle's file {path} has changed since the bundle was written")
    model = folder / info.model_path
    if not model.exists():
        raise InputError(f"the bundle {folder} lacks its model {info.model_path}")
    _check_no_others(folder, model, {file.path for file in info.files})


def _check_no_others(folder: Path, model: Path, listed: set[str]) -> None:
    """A model that is a folder is read whole: what is in it and is not listed would be part of it."""
    for path in sorted(model.rglob("*")) if model.is_dir() else [model]:
        name = path.relative_to(folder).as_posix()
        if name not in listed and path.name not in DESKTOP_FILES and (path.is_symlink() or not path.is_dir()):
            raise InputError(f"the bundle {folder} does not list {name}, which lies in its model")


def _shallow(info: BundleInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in BundleInfo.__dataclass_fields__}


def _document(info: BundleInfo) -> dict[str, Any]:
    """bundle.json. A field that came later is written only where it says something: bundles keep the hash that
    predictions name, and earlier programs go on reading those that they can score."""
    document = asdict(info)
    if info.calibration is not None and not info.calibration.inside_model:
        del document["calibration"]["inside_model"]
    return document


def _canonical(info: BundleInfo) -> str:
    return json.dumps(_document(info), sort_keys=True, separators=(",", ":"))
