"""What each part of the `flagship` recipe is worth on chests of another series, clean and corrupted.

Validation inside the training folder does not rank methods: all come to an AUC above 0.99 there. The official test
folder's normal images are of other patient numbers than the training folder's, so the nearest thing to it that the
training folder holds is a series of normals that was never seen: the files named IM-… and NORMAL2-IM-… were counted
apart. For each of the two series a split is made whose test images are that series and, of bacterial and viral
pneumonia each, the fifth with the lowest patient numbers; nothing else of the series is trained on. The folder's own
test images take no part.

Every variant is trained through `cxr baseline train`, with one seed, and judged by `cxr baseline robustness`: AUC on
the clean images, the mean AUC over the corruptions, and the AUC of all corrupted copies pooled (which a shift of scores
lowers as well), with intervals from resampled patients. What another seed would change is in none of the intervals. A
killed run goes on where it stood. It takes hours, and the X-rays, so `make bench`, which runs what needs no arguments,
leaves this folder alone. Everything lies below OUT.

Usage: flagship_ablations.py DATA WEIGHTS OUT [--epochs N] [--series IM|NORMAL2-IM] [--variant NAME]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cxr.manifests.manifest import Manifest, new_manifest
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.scan.folder import scan_with_record
from cxr.manifests.splits.split import make_validation

SERIES = ("NORMAL2-IM", "IM")
#: Share of each etiology's images, lowest patient numbers first, that is held out.
HELD_OUT = 0.2
VALIDATION, SPLIT_SEED = 0.1, 7
GREY_LEVELS = ("bands", "blur", "contrast", "brightness", "gamma", "noise")
GEOMETRY = ("zoom", "aspect", "shift", "rotation", "black")

#: Name -> what is changed of the recipe.
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "flagship": (),
    "two classes only": ("supervision=labels",),
    "mild augmentation": (
        *(f"augmentation.{name}=0" for name in (*GREY_LEVELS, "rotation", "black", "erase")),
        "augmentation.zoom=0.07",
        "augmentation.aspect=0.14",
        "augmentation.shift=0.05",
    ),
    "two classes, mild augmentation": (),
    "no grey levels": tuple(f"augmentation.{name}=0" for name in GREY_LEVELS),
    "no geometry": tuple(f"augmentation.{name}=0" for name in GEOMETRY),
    "no averaged weights": ("weight_average=0",),
    "batch norm frozen": ("batch_norm=frozen",),
}


def main() -> None:
    """Train what is asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--series", choices=SERIES, action="append")
    parser.add_argument("--variant", choices=VARIANTS, action="append", help="[default: all]")
    asked = parser.parse_args()
    whole = scan_with_record(asked.data).manifest
    print("| held out | variant | clean AUC | mean over corruptions | all pooled |\n|---|---|---|---|---|")
    for series in asked.series or SERIES:
        place = asked.out / series
        manifest = write_manifest(without_series(whole, series), place / "manifest.csv")
        for name in asked.variant or VARIANTS:
            bundle = place / re.sub(r"\W+", "-", name)
            _train(manifest, asked.weights, bundle, _settings(name), asked.epochs, asked.out)
            print(f"| {series} | {name} | {' | '.join(_judge(manifest, bundle, asked.out))} |", flush=True)


def without_series(whole: Manifest, series: str) -> Manifest:
    """The training folder with one series of normals, and the first patients of each etiology, as its test split."""
    frame = whole.frame[whole.frame["split"] != "test"].reset_index(drop=True)
    parts = frame["patient"].str.extract(r"(?P<series>.*?)-?(?P<number>\d+)$")
    numbers = parts["number"].astype("float64")
    held = parts["series"] == series
    for etiology in ("bacterial", "viral"):
        of_etiology = frame["etiology"] == etiology
        held |= of_etiology & (numbers <= numbers[of_etiology].quantile(HELD_OUT))
    split = pd.Series("train", index=frame.index).mask(held, "test")
    manifest = new_manifest(frame.assign(split=split), whole.header, whole.location)
    return make_validation(manifest, validation=VALIDATION, seed=SPLIT_SEED)


def _settings(name: str) -> Sequence[str]:
    if name == "two classes, mild augmentation":
        return (*VARIANTS["two classes only"], *VARIANTS["mild augmentation"])
    return VARIANTS[name]


def _train(manifest: Manifest, weights: Path, bundle: Path, settings: Sequence[str], epochs: int, out: Path) -> None:
    words: list[Any] = ["--recipe", "flagship", "--weights", weights, "--epochs", epochs, "--out", bundle]
    words += [word for setting in settings for word in ("--set", setting)]
    _cxr("train", *words, at=manifest, out=out)


def _judge(manifest: Manifest, bundle: Path, out: Path) -> list[str]:
    # Over the clean images alone the mean is their own AUC, with its interval.
    clean = _cxr("robustness", bundle, "--split", "test", "--corruption", "clean", at=manifest, out=out)
    every = _cxr("robustness", bundle, "--split", "test", at=manifest, out=out)
    summaries = [made["bundles"][0]["summary"] for made in (clean, every)]
    estimates = [summaries[0]["mean_auc"], summaries[1]["mean_auc"], summaries[1]["pooled_auc"]]
    return [f"{each['value']:.4f} ({each['low']:.4f} to {each['high']:.4f})" for each in estimates]


def _cxr(command: str, *arguments: Any, at: Manifest, out: Path) -> dict[str, Any]:
    words = [sys.executable, "-m", "cxr", "baseline", command, *map(str, arguments), "--manifest", str(at.location)]
    place = {**os.environ, "CXR_STATE_DIR": str(out / ".cxr")}  # caches and checkpoints
    done = subprocess.run([*words, "--json", "--quiet"], stdout=subprocess.PIPE, text=True, check=True, env=place)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    main()
