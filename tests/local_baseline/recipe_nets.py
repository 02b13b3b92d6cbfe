"""The net of each recipe, small and settled: real layers in their order, random weights, probabilities that differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bundles import CLASSES, keras_bundle
from cxr.bundle import Bundle, Calibration, Threshold, with_decision
from cxr.compare.parity.images import ImageSet
from cxr.compare.parity.process import score_pixels
from cxr.local_baseline.models.build import SCORES, build_model
from cxr.local_baseline.models.collapse import finished
from cxr.local_baseline.recipes import NO_WEIGHTS, RECIPES, Architecture, Recipe, Supervision
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.training.supervision import FinerClasses
from cxr.manifests.manifest import Manifest
from cxr.manifests.scan.folder import scan

#: Sides of the input here: no more than these, since it is the layers that exports may get wrong.
SIDES = {64: ("cnn5", "vgg16-frozen", "mobilenet-v2", "efficientnet-b0", "densenet121", "flagship", "edge")}
HEAT = Calibration("temperature", 1.4, "smallest cross-entropy", "validation", 40, 0.4, 0.3)
#: Runs in training mode that batch norm's statistics settle in.
SETTLING_RUNS, SETTLING_IMAGES = 8, 32
#: Standard deviation of the scores over the training images. What it is multiplied by, errors are, too: more for
#: cnn5, whose 8 bits are to fail plainly; less for nets of many layers, in which random weights add up more rounding
#: than trained ones.
SPREADS = {"cnn5": 2.0, "edge": 0.6}
SPREAD, DEEP_SPREAD = 1.0, 0.4


def small_recipe(name: str) -> Recipe:
    """A recipe with a smaller input, whose batch norm settles soon."""
    recipe = RECIPES[name]
    side = next((side for side, names in SIDES.items() if name in names), recipe.preprocessing.height)
    contract = replace(recipe.preprocessing, height=side, width=side)
    return replace(recipe, preprocessing=contract, batch_norm_momentum=0.5)


def settled_net(recipe: Recipe, pixels: np.ndarray) -> Any:
    """The recipe's net for two classes (the flagship's as the sum of etiologies), with random weights, whose scores
    vary over `pixels`, uint8 [N, H, W, C]."""
    keras = load().keras
    keras.utils.set_random_seed(11)
    taught = recipe.supervision is Supervision.ETIOLOGY
    finer = FinerClasses(("NORMAL", "BACTERIA", "VIRUS"), np.zeros(0, np.int64), (0, 1, 1)) if taught else None
    model = build_model(recipe, 3 if finer else 2, NO_WEIGHTS)
    batches = np.array_split(pixels.astype(np.float32), max(1, len(pixels) // SETTLING_IMAGES))
    for number in range(SETTLING_RUNS):
        model(batches[number % len(batches)], training=True)
    layer = model.get_layer(SCORES)
    features = keras.Model(model.input, layer.input).predict(pixels.astype(np.float32), verbose=0)
    # Scores along the features' principal components: random directions would need large weights to tell images apart,
    # and large weights make more of every rounding than a trained net does.
    mean = features.mean(axis=0)
    _, _, components = np.linalg.svd(features - mean, full_matrices=False)
    kernel = components[: layer.units].T
    spread = SPREADS.get(recipe.name, DEEP_SPREAD if recipe.architecture is Architecture.BACKBONE else SPREAD)
    kernel = kernel * spread / (features @ kernel).std(axis=0)
    layer.set_weights([kernel, -mean @ kernel])
    return finished(model, finer)


def recipe_bundle(name: str, manifest: Manifest, train: ImageSet, test: ImageSet, folder: Path) -> Bundle:
    """The bundle of a recipe's net, calibrated. Its threshold lies in the middle of the widest gap of the middle half
    of the test images' probabilities: who flips a call there is not off by rounding."""
    recipe = small_recipe(name)
    model = settled_net(recipe, train.pixels)
    contract = recipe.preprocessing
    bundle = keras_bundle(model, folder / name, preprocessing=contract, calibration=HEAT, manifest_hash=manifest.hash)
    positive = np.sort(score_pixels(bundle, test.pixels, timed_runs=0).probabilities[:, 1])
    middle = positive[len(positive) // 4 : -(len(positive) // 4)]
    widest = int(np.argmax(np.diff(middle)))
    threshold = Threshold(float(middle[widest : widest + 2].mean()), "widest gap", "test")
    return with_decision(bundle, threshold, HEAT)


def draw_films(folder: Path, counts: dict[str, int], seed: int = 5) -> Manifest:
    """Grey JPEG files in DIR/SPLIT/LABEL, as many of each label, and their manifest. They differ as much as they can:
    a blob of any place, size and brightness on any ground, stripes of any direction and width, little noise."""
    rng = np.random.default_rng(seed)
    height, width = 90, 100
    y, x = np.mgrid[:height, :width] / height
    for split, count in counts.items():
        for number in range(2 * count):
            label = CLASSES[number % 2]
            blob = np.exp(-((y - rng.random()) ** 2 + (x - rng.random()) ** 2) / rng.uniform(0.01, 0.4))
            angle, waves = rng.uniform(0, np.pi), rng.uniform(2, 40)
            stripes = np.sin(waves * (np.cos(angle) * x + np.sin(angle) * y) + rng.uniform(0, 6))
            picture = rng.uniform(0, 160) + rng.uniform(-150, 150) * blob + rng.uniform(0, 70) * stripes
            picture += rng.normal(0, rng.uniform(0, 10), (height, width))
            path = folder / split / label / f"{label}-{number}.jpeg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8)).save(path, quality=92)
    return scan(folder)
