"""What one image costs at each step, as far as no other benchmark tells: scan, search of near-duplicates by size,
shards, and what training a net takes in arithmetic and on this processor.

docs/scale.md computes with these and with what the other benchmarks measured (`python benchmarks --render`).
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cxr.local_baseline.models.build import build_model
from cxr.local_baseline.recipes import CNN5, FLAGSHIP, MOBILENET_V2, Recipe
from cxr.local_baseline.tensorflow_setup import load
from cxr.manifests.duplicates.near import candidate_pairs
from cxr.manifests.sample import draw_sample
from cxr.manifests.scan.folder import scan_with_record
from cxr.manifests.shards.plan import ShardOptions, plan_shards
from cxr.manifests.shards.writer import write_shards
from harness.result import Result
from harness.script import Script, run_script
from near_duplicates import clustered_hashes

XRAYS = Path(__file__).resolve().parents[2] / "shared" / "data" / "chest_xray" / "test"
FILES, QUICK_FILES, ROUNDS = 600, 100, 3
HASHES, QUICK_HASHES = (25_000, 50_000, 100_000), (5_000, 10_000)
BATCH, STEPS, QUICK_STEPS = 32, 10, 3
#: Forward, and backward at twice that.
PASSES = 3


def measure(script: Script) -> None:
    """Scan and shards, near-duplicates, nets."""
    with tempfile.TemporaryDirectory(prefix="cxr-scale-") as name:
        _measure_files(script, Path(name))
    for count in QUICK_HASHES if script.quick else HASHES:
        hashes = clustered_hashes(count)
        start = time.process_time()
        candidate_pairs(hashes)
        seconds = time.process_time() - start
        script.add(Result(f"search of {count:,} hashes", "processor time", seconds, "s"))
    for recipe in (FLAGSHIP, CNN5, MOBILENET_V2):
        _measure_net(script, recipe, QUICK_STEPS if script.quick else STEPS)


def _measure_files(script: Script, folder: Path) -> None:
    images = _images(script, folder, QUICK_FILES if script.quick else FILES)
    scans, packs = [], []
    for number in range(ROUNDS):
        start = time.perf_counter()
        manifest = scan_with_record(images).manifest
        scans.append((time.perf_counter() - start) / len(manifest.frame) * 1e3)
        start = time.perf_counter()
        write_shards(plan_shards(manifest, ShardOptions(8_000_000)), images, folder / f"shards-{number}")
        packs.append((time.perf_counter() - start) / len(manifest.frame) * 1e3)
        shutil.rmtree(folder / f"shards-{number}")
    note = (
        f"{len(manifest.frame):,} files of {manifest.frame['size'].mean() / 1e3:.0f} kB, 224x224; with near-duplicates"
    )
    for name, times, more in (("scan", scans, note), ("shards", packs, "each image read and checked")):
        spread = (min(times), max(times))
        script.add(Result(name, "time an image", min(times), "ms", spread=spread, repeats=ROUNDS, note=more))


def _images(script: Script, folder: Path, count: int) -> Path:
    target = folder / "images"
    if XRAYS.is_dir():
        for path in sorted(XRAYS.rglob("*.jpeg"))[:: max(1, 700 // count)][:count]:
            copy = target / path.parent.name / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        return target
    script.note("The real X-rays are not here: drawn images instead.")
    draw_sample(target, images=count, seed=7)
    for path in target.rglob("*.jpeg"):
        with Image.open(path) as picture:
            small = picture.convert("L").resize((224, 224))
        small.save(path, quality=90)
    return target


def _measure_net(script: Script, recipe: Recipe, steps: int) -> None:
    """Training steps on a batch that is there, and what the layers take in multiplications and additions."""
    tf = load().tf
    contract = recipe.preprocessing
    model = build_model(recipe, 2, "none")
    model.trainable = True
    shape = (BATCH, contract.height, contract.width, contract.channels)
    batch = tf.constant(np.random.default_rng(0).integers(0, 256, shape), tf.float32)

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(batch, training=True)[:, 0])
        gradients = tape.gradient(loss, model.trainable_variables)
        return [tf.reduce_sum(each) for each in gradients if each is not None]

    step()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        [each.numpy() for each in step()]
        times.append((time.perf_counter() - start) / BATCH * 1e3)
    arithmetic = _forward_flop(model)
    name, best = f"training step of `{recipe.name}`", min(times)
    done = PASSES * arithmetic / (best / 1e3) / 1e9
    note = f"forward and backward, batches of {BATCH}, no input: {done:.0f} GFLOP/s here"
    script.add(Result(name, "time an image", best, "ms", spread=(best, max(times)), repeats=steps, note=note))
    script.add(Result(name, "arithmetic of an image, forward", arithmetic / 1e6, "MFLOP"))
    parameters = sum(int(np.prod(each.shape)) for each in model.trainable_variables)
    script.add(Result(name, "trainable parameters", parameters, ""))


def _forward_flop(model: Any) -> float:
    """Of convolutions and dense layers: two for each multiplication with its addition."""
    total = 0.0
    for layer in model._flatten_layers() if hasattr(model, "_flatten_layers") else model.layers:
        kind = type(layer).__name__
        if kind not in {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense"}:
            continue
        kernel = math.prod(layer.kernel.shape)
        places = math.prod(layer.output.shape[1:3]) if kind != "Dense" else 1
        # A depthwise kernel has no sum over channels: its weights are all used once a place, too.
        total += 2 * kernel * places
    return total


if __name__ == "__main__":
    run_script(measure, file=__file__, description=__doc__, packages=("tensorflow-cpu", "keras", "pillow"))
