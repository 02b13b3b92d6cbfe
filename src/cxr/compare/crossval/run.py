"""Training and judging fold after fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cxr.bundle import BUNDLE_FILE, Bundle, read_bundle
from cxr.compare.crossval.files import write_crossval
from cxr.compare.crossval.nouns import (
    BINARY_MEASURES,
    BINARY_POOLED,
    MANY_CLASSES_MEASURES,
    MANY_CLASSES_POOLED,
    CrossValidation,
    FoldResult,
    Spread,
)
from cxr.compare.nouns import Draws
from cxr.compare.predictions.table import predict
from cxr.compare.statistics.bootstrap import DRAWS, SEED
from cxr.compare.statistics.measures import WHOLE, Scored, measured, scored, values_of
from cxr.errors import InputError, UsageError
from cxr.local_baseline.images.cache import cached_images
from cxr.local_baseline.judging.folds import Fold
from cxr.local_baseline.request import TrainRequest, check_request, fingerprint, recipe_of
from cxr.local_baseline.train import finished_bundle
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.splits.split import POOL
from cxr.progress import Progress

MANIFESTS_FOLDER = "manifests"

TrainFold = Callable[[TrainRequest], Bundle]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The held-out images of one fold: the noun that pooling works on."""

    result: FoldResult
    cases: Scored


def cross_validate(
    request: TrainRequest,
    folds: Sequence[Fold],
    *,
    blocks: bool,
    train_fold: TrainFold,
    on_progress: Progress,
    on_fold: Callable[[FoldResult], None],
    draws: Draws | None = None,
) -> CrossValidation:
    """Train `request` once for each fold, into `request.output`/fold-1 and on, and judge each bundle on the images that
    it was not trained on.

    A fold whose bundle is finished (same data, recipe, seed: same fingerprint) is not trained again, so that the same
    call goes on where a killed one was. `train_fold` makes a bundle of a fold's request; `on_fold` hears of each fold
    when it is judged. Writes crossval.json, crossval.csv and out-of-fold.csv when all folds are done; each fold's
    manifest lies in manifests/.

    Raises UsageError when the folder is a bundle or holds folds of another cross-validation, and what training and
    scoring raise.
    """
    check_folder(request.output)
    _check_folds(request, folds)
    how = draws or Draws(DRAWS, SEED)
    _decode(request, on_progress)
    done: list[HeldOut] = []
    for fold in folds:
        on_progress(fold.number - 1, len(folds), f"fold {fold.number}")
        done.append(_judged(request, fold, train_fold, on_progress))
        on_fold(done[-1].result)
    result = _together(request, done, blocks, how)
    write_crossval(result)
    return result


def check_folder(folder: Path) -> None:
    """Raises UsageError for a folder that folds cannot lie in."""
    if (folder / BUNDLE_FILE).exists():
        raise UsageError(f"{folder} is a bundle: the folds need a folder of their own", hint="choose another --out")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", hint="choose a folder with --out")


def _check_folds(request: TrainRequest, folds: Sequence[Fold]) -> None:
    """Refuse what cannot be trained, and to replace the folds of another cross-validation or leave some of them beside
    these."""
    ours = {f"fold-{fold.number}": _request_of(request, fold) for fold in folds}
    for own in ours.values():
        check_request(own, recipe_of(own))
    for path in sorted(request.output.glob(f"fold-*/{BUNDLE_FILE}")):
        wanted, folder = ours.get(path.parent.name), path.parent
        if wanted is None or read_bundle(folder, verify=False).info.provenance.get("fingerprint") != _mark(wanted):
            raise UsageError(
                f"{folder} is of another cross-validation (other folds, seed, recipe, settings or data)",
                hint=f"choose another --out, or remove {request.output}",
            )


def _request_of(request: TrainRequest, fold: Fold) -> TrainRequest:
    return replace(
        request,
        manifest=fold.manifest,
        output=request.output / f"fold-{fold.number}",
        name=f"{request.name or request.recipe} fold {fold.number}",
    )


def _mark(request: TrainRequest) -> str:
    return fingerprint(request, recipe_of(request))


def _decode(request: TrainRequest, on_progress: Progress) -> None:
    """Decode the pool once, by the whole manifest: the folds find the images by what they are. (Shards, too, belong to
    the whole manifest.)"""
    pool = np.flatnonzero(request.manifest.frame["split"].isin(POOL).to_numpy())
    contract = recipe_of(request).preprocessing
    cached_images(request.manifest, request.images, contract, request.cache_dir, on_progress, rows=pool)


def _judged(request: TrainRequest, fold: Fold, train_fold: TrainFold, on_progress: Progress) -> HeldOut:
    location = request.output / MANIFESTS_FOLDER / f"fold-{fold.number}.csv"
    manifest = write_manifest(fold.manifest, location)
    own = replace(_request_of(request, fold), manifest=manifest)
    was_finished = finished_bundle(own.output, _mark(own)) is not None
    bundle = train_fold(own)
    predictions = predict(bundle, manifest, images=own.images, cache_dir=own.cache_dir, on_progress=on_progress)
    probabilities = predictions.probabilities(manifest.classes)
    info = bundle.info
    cases = scored(probabilities, manifest, "test", info.positive_class, info.threshold.value)
    frame = predictions.frame.assign(fold=fold.number, called=[manifest.classes[number] for number in cases.called])
    values = values_of(cases)
    result = FoldResult(
        number=fold.number,
        bundle=bundle,
        manifest=manifest,
        images=len(cases.truth),
        patients=len(set(cases.patients)),
        measures={name: values[name, WHOLE] for name in _measures(cases)},
        held_out=frame,
        was_finished=was_finished,
    )
    return HeldOut(result, cases)


def _measures(cases: Scored) -> tuple[str, ...]:
    return BINARY_MEASURES if len(cases.classes) == 2 else MANY_CLASSES_MEASURES


def _together(request: TrainRequest, done: Sequence[HeldOut], blocks: bool, draws: Draws) -> CrossValidation:
    folds = tuple(one.result for one in done)
    if len({fold.bundle.info.positive_class for fold in folds}) != 1:
        raise InputError("the folds' bundles do not call the same class positive", hint="remove them, and run again")
    first = done[0].cases
    pooled = measured(
        Scored(
            probabilities=np.concatenate([one.cases.probabilities for one in done]),
            truth=np.concatenate([one.cases.truth for one in done]),
            called=np.concatenate([one.cases.called for one in done]),
            patients=[patient for one in done for patient in one.cases.patients],
            kinds=[kind for one in done for kind in one.cases.kinds],
            classes=first.classes,
            positive=first.positive,
        ),
        draws,
    )
    names, pooled_only = _measures(first), BINARY_POOLED if len(first.classes) == 2 else MANY_CLASSES_POOLED
    return CrossValidation(
        recipe=request.recipe,
        manifest=request.manifest,
        folds=folds,
        blocks=blocks,
        seed=request.seed,
        spread={name: _spread([fold.measures[name] for fold in folds]) for name in names},
        pooled={name: pooled.estimate(name) for name in (*names, *pooled_only)},
        draws=draws,
        folder=request.output,
        classes=first.classes,
        positive_class=first.classes[first.positive],
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)))
