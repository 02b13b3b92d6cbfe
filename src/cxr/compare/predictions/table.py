"""The Predictions noun: one row per image of one manifest's split, scored by one bundle.

On disk it is a folder with `predictions.csv` (path, patient, label, split, and one probability column a class,
`p_<class>`) and `predictions.json`, written last, which names bundle and manifest by their hashes and the CSV by its
sha256.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.bundle import Bundle, ModelFormat
from cxr.compare.predictions.scoring import BATCH_IMAGES, score
from cxr.compare.predictions.unfinished import UnfinishedScores
from cxr.compare.predictions.versions import installed_versions
from cxr.compare.predictors.base import Probabilities
from cxr.compare.ruler import check_manifest, check_split, short
from cxr.documents import parse_json
from cxr.errors import InputError, RulerMismatch
from cxr.files import write_text_atomically
from cxr.manifests.manifest import Manifest
from cxr.progress import Progress

SCHEMA_VERSION = 1
ROWS_FILE = "predictions.csv"
HEADER_FILE = "predictions.json"
KEY_COLUMNS = ["path", "patient", "label", "split"]
PROBABILITY_PREFIX = "p_"


@dataclass(frozen=True, slots=True)
class PredictionsHeader:
    """What the sidecar says of the rows. `latency_ms`: median wall-clock milliseconds for one image, without
    preprocessing; None for a model that was not run here. `latency_includes_decoding`: the model takes files only, so
    decoding is within it, of which `decoding_ms` tells the size (None: written before that was told)."""

    bundle_hash: str
    bundle_name: str
    manifest_hash: str
    task: str
    split: str
    classes: tuple[str, ...]
    latency_ms: float | None
    stand_in: bool
    images: int
    versions: Mapping[str, str] = field(default_factory=dict)
    rows_sha256: str = ""
    created: str = ""
    latency_includes_decoding: bool | None = None
    decoding_ms: float | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Predictions:
    """Rows in the order of the manifest's paths, and their header."""

    frame: pd.DataFrame
    header: PredictionsHeader

    def probabilities(self, classes: tuple[str, ...]) -> Probabilities:
        """float64 [images, classes] in 0..1, columns in the order asked for."""
        return self.frame[[PROBABILITY_PREFIX + name for name in classes]].to_numpy(dtype=np.float64)


def predict(
    bundle: Bundle,
    manifest: Manifest,
    *,
    images: str | None = None,
    cache_dir: Path,
    split: str = "test",
    on_progress: Progress,
) -> Predictions:
    """Score every image of one split, or take the predictions that this bundle already made of this manifest from the
    cache. A bundle of predictions is not scored: it holds them. A scoring that was killed goes on where it was.

    `images` is the folder (or gs:// URL) that the manifest's paths are relative to (None: the manifest's own root).
    Raises RulerMismatch when the bundle was trained on another manifest, InputError for an empty split, an image or a
    model that cannot be read, Interrupted after Ctrl-C, which says how many images are kept.
    """
    check_manifest(bundle, manifest)
    check_split(manifest, split)
    if bundle.info.format is ModelFormat.PREDICTIONS:
        return _held(bundle, manifest, split)
    cached = cached_predictions(bundle, manifest, cache_dir=cache_dir, split=split)
    if cached is not None:
        return cached
    rows, folder = manifest.split(split), _folder(bundle, manifest, cache_dir, split)
    unfinished = UnfinishedScores(folder, _made_of(bundle, manifest, split))
    scored = score(
        bundle, manifest, split, images=images, cache_dir=cache_dir, unfinished=unfinished, on_progress=on_progress
    )
    frame = rows[KEY_COLUMNS].reset_index(drop=True)
    for column, name in enumerate(bundle.info.classes):
        frame[PROBABILITY_PREFIX + name] = scored.probabilities[:, column]
    header = PredictionsHeader(
        bundle_hash=bundle.hash,
        bundle_name=bundle.info.name,
        manifest_hash=manifest.hash,
        task=bundle.info.task,
        split=split,
        classes=bundle.info.classes,
        latency_ms=scored.latency.ms,
        latency_includes_decoding=scored.latency.includes_decoding,
        decoding_ms=scored.latency.decoding_ms,
        stand_in=bundle.info.stand_in,
        images=len(frame),
        versions=installed_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    whole = write_predictions(Predictions(frame, header), folder)
    unfinished.remove()
    return whole


def cached_predictions(bundle: Bundle, manifest: Manifest, *, cache_dir: Path, split: str) -> Predictions | None:
    """What the cache holds for this bundle, manifest and split, scored with the versions that are installed now; None
    where it has to be scored (anew)."""
    try:
        predictions = read_predictions(_folder(bundle, manifest, cache_dir, split), manifest)
    except (InputError, RulerMismatch):
        return None
    header = predictions.header
    fits = header.bundle_hash == bundle.hash and header.split == split and header.versions == installed_versions()
    return predictions if fits and header.latency_includes_decoding is not None else None


def write_predictions(predictions: Predictions, folder: Path) -> Predictions:
    """Write the rows, then the header that vouches for them: a folder without the header holds no predictions."""
    text = predictions.frame.to_csv(index=False, lineterminator="\n")
    header = PredictionsHeader(**{**_shallow(predictions.header), "rows_sha256": _sha256(text)})
    (folder / HEADER_FILE).unlink(missing_ok=True)
    write_text_atomically(folder / ROWS_FILE, text)
    write_text_atomically(folder / HEADER_FILE, json.dumps(asdict(header), indent=2) + "\n")
    return Predictions(predictions.frame, header)


def read_predictions(folder: Path, manifest: Manifest) -> Predictions:
    """Read and check predictions of `manifest`. Raises InputError for a folder that holds none, or torn or edited
    ones, and RulerMismatch when they were made of another manifest."""
    header = _read_header(folder / HEADER_FILE)
    if header.manifest_hash != manifest.hash:
        raise RulerMismatch(
            f"the predictions in {folder} are of the manifest {short(header.manifest_hash)}, "
            f"not of {short(manifest.hash)}",
            hint="score the bundle on this manifest instead: cxr compare BUNDLE --manifest MANIFEST",
        )
    path = folder / ROWS_FILE
    try:
        text = path.read_text(encoding="utf-8")
        # pandas' time grows with the square of the columns.
        if text.partition("\n")[0].count(",") >= len(KEY_COLUMNS) + sum(1 + name.count(",") for name in header.classes):
            raise InputError(f"{path} has other columns than {HEADER_FILE} says")
        frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
        for column in frame.columns.difference(KEY_COLUMNS):
            # Python's own conversion, which gives back what was written; pandas' fast one may be a bit off.
            frame[column] = np.array([float(value) for value in frame[column]], dtype=np.float64)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if _sha256(text) != header.rows_sha256:
        raise InputError(f"{path} is not what {HEADER_FILE} says: it was edited or only half of it was copied")
    _check_rows(frame, header, manifest, path)
    return Predictions(frame, header)


def _held(bundle: Bundle, manifest: Manifest, split: str) -> Predictions:
    """The predictions that are all of a bundle. They were written before it, so that only it knows its hash."""
    predictions = read_predictions(bundle.model_path, manifest)
    if predictions.header.split != split:
        raise InputError(f"{bundle.folder} holds predictions of the {predictions.header.split} split, not of {split}")
    return replace(predictions, header=replace(predictions.header, bundle_hash=bundle.hash))


def _folder(bundle: Bundle, manifest: Manifest, cache_dir: Path, split: str) -> Path:
    return cache_dir / "predictions" / f"{bundle.hash[:16]}-{manifest.hash[:16]}-{split}"


def _made_of(bundle: Bundle, manifest: Manifest, split: str) -> str:
    """A digest of all that decides a score to its last bit and the order of the rows."""
    parts = (bundle.hash, manifest.hash, split, BATCH_IMAGES, sorted(installed_versions().items()))
    return _sha256(json.dumps(parts))


def _read_header(path: Path) -> PredictionsHeader:
    try:
        raw: Any = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"there are no predictions in {path.parent}: {error}") from error
    if not isinstance(raw, dict) or raw.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{path} is not the header of predictions of schema version {SCHEMA_VERSION}")
    try:
        for name in ("bundle_hash", "bundle_name", "manifest_hash", "task", "split", "rows_sha256"):
            if not isinstance(raw[name], str):
                raise TypeError(f"{name} is {raw[name]!r}, not a text")
        if not isinstance(raw["classes"], list) or not all(isinstance(one, str) for one in raw["classes"]):
            raise TypeError("classes is not a list of names")
        return PredictionsHeader(**{**raw, "classes": tuple(raw["classes"])})
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is not the header of predictions: {error}") from error


def _check_rows(frame: pd.DataFrame, header: PredictionsHeader, manifest: Manifest, path: Path) -> None:
    columns = [*KEY_COLUMNS, *(PROBABILITY_PREFIX + name for name in header.classes)]
    if list(frame.columns) != columns:
        raise InputError(f"{path} has the columns {', '.join(frame.columns)}, not {', '.join(columns)}")
    expected = manifest.split(header.split)[KEY_COLUMNS].reset_index(drop=True)
    if len(frame) != len(expected) or not (frame[KEY_COLUMNS].to_numpy() == expected.to_numpy()).all():
        raise InputError(
            f"{path} does not list the {len(expected):,} {header.split} images of the manifest in their order"
        )
    values = frame[columns[len(KEY_COLUMNS) :]].to_numpy(dtype=np.float64)
    bad = ~((values >= 0) & (values <= 1)).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(f"{path}, row {row + 2}: {frame['path'].iloc[row]} has a probability that is not in 0..1")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _shallow(header: PredictionsHeader) -> dict[str, Any]:
    return {name: getattr(header, name) for name in PredictionsHeader.__dataclass_fields__}
