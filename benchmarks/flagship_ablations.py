"""What each part of the `flagship` recipe is worth on chests of another series, clean and corrupted.

Validation inside the training folder does not rank methods: all come to an AUC above 0.99 there. The official test
folder's normal images are of other patient numbers than the training folder's, so the nearest thing to it that the
training folder holds is a series of normals that was never seen: the files named IM-… and NORMAL2-IM-… were counted
apart. For each of the two series a split is made whose test images are that series and, of bacterial and viral
pneumonia each, the fifth with the lowest patient numbers; nothing else of the series is trained on. The folder's own
test images take no part.

Every variant is trained through `cxr baseline train` and judged by `cxr baseline robustness`: AUC on the clean images,
the mean AUC over the corruptions, and the AUC of all corrupted copies pooled (which a shift of scores lowers as well),
with intervals from resampled patients. A killed run goes on where it stood.

Usage: flagship_ablations.py DATA WEIGHTS OUT [--epochs N] [--series IM|NORMAL2-IM] [VARIANT…]
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cxr.manifests.manifest import Manifest, new_manifest
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.scan import scan_with_record
from cxr.manifests.split import make_validation

SERIES = ("NORMAL2-IM", "IM")
#: Share of each etiology's images, lowest patient numbers first, that is held out.
HELD_OUT = 0.2
VALIDATION, SPLIT_SEED = 0.1, 7
GREY_LEVELS = ("bands", "blur", "contrast", "brightness", "gamma", "noise")
GEOMETRY = ("zoom", "aspect", "shift", "rotation", "black")

#: Name -> what is changed of the recipe.
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "flagship, no teacher": (),
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
    "with teachers": ("teacher_share=1",),
}


def main() -> None:
    """Train what is asked for, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--series", choices=SERIES, action="append")
    parser.add_argument("variants", nargs="*", default=[], help=f"of {', '.join(VARIANTS)} [default: all]")
    asked = parser.parse_args()
    whole = scan_with_record(asked.data).manifest
    print("| held out | variant | clean AUC | mean over corruptions | all pooled |\n|---|---|---|---|---|")
    for series in asked.series or SERIES:
        place = asked.out / series
        manifest = write_manifest(without_series(whole, series), place / "manifest.csv")
        for name in asked.variants or VARIANTS:
            bundle = place / re.sub(r"\W+", "-", name)
            _train(manifest, asked.weights, bundle, _settings(name), asked.epochs)
            print(f"| {series} | {name} | {' | '.join(_judge(manifest, bundle))} |", flush=True)


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
        return (*VARIANTS["two classes only"], *VARIANTS["mild augmentation"], "teacher_share=0")
    teachers = () if name == "with teachers" else ("teacher_share=0",)
    return (*VARIANTS[name], *teachers)


def _train(manifest: Manifest, weights: Path, bundle: Path, settings: Sequence[str], epochs: int) -> None:
    sets = [word for setting in settings for word in ("--set", setting)]
    _cxr("train", "--recipe", "flagship", "--weights", weights, "--epochs", epochs, "--out", bundle, *sets, at=manifest)


def _judge(manifest: Manifest, bundle: Path) -> list[str]:
    judged = _cxr("robustness", bundle, "--split", "test", at=manifest)["bundles"][0]
    clean = next(score["auc"] for score in judged["scores"] if score["corruption"] == "clean")
    cells = [f"{clean:.4f}"]
    for name in ("mean_auc", "pooled_auc"):
        estimate = judged["summary"][name]
        cells.append(f"{estimate['value']:.4f} ({estimate['low']:.4f} to {estimate['high']:.4f})")
    return cells


def _cxr(command: str, *arguments: Any, at: Manifest) -> dict[str, Any]:
    words = [sys.executable, "-m", "cxr", "baseline", command, *map(str, arguments), "--manifest", str(at.location)]
    done = subprocess.run([*words, "--json", "--quiet"], stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    main()
