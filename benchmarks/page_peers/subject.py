"""What the pages show: a bundle with the manifest of its training, and images to read."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cxr.bundle import Bundle, BundleInfo, ModelFormat, Origin, Preprocessing, Threshold, write_bundle
from cxr.local_baseline.images.cache import images_root
from cxr.local_baseline.images.preprocess import load_image
from cxr.local_baseline.models.build import SCORES, build_model
from cxr.local_baseline.recipes import FLAGSHIP
from cxr.local_baseline.tensorflow_setup import load
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.sample import draw_sample
from cxr.manifests.scan.folder import scan_with_record
from cxr.manifests.splits.split import make_validation
from cxr.webapp.gate import Gate

DRAWN, SMALL_SIDE = 300, 224
#: Width and height of two megapixels, as many of the original X-rays have.
LARGE = (1632, 1224)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Files to read: `small` of 224x224, `large` of two megapixels, `exact` of the model's own size and without loss,
    where resizing plays no part."""

    small: tuple[Path, ...]
    large: Path
    exact: Path


def drawn_manifest(folder: Path) -> Manifest:
    """Drawn X-rays of 224x224 in the layout of the Kermany release, scanned and split."""
    images = folder / "drawn"
    draw_sample(images, images=DRAWN)
    for path in images.rglob("*.jpeg"):
        with Image.open(path) as picture:
            small = picture.convert("L").resize((SMALL_SIDE, SMALL_SIDE), Image.Resampling.BICUBIC)
        small.save(path, quality=90)
    return write_manifest(make_validation(scan_with_record(images).manifest), folder / "manifest.csv")


def untrained_flagship(manifest: Manifest, folder: Path) -> Bundle:
    """A bundle with the flagship's net, its weights drawn by chance; only the last layer is brought to scores that
    differ from image to image, so that two runtimes can be told apart."""
    keras = load().keras
    keras.utils.set_random_seed(7)
    model = build_model(FLAGSHIP, 2, "none")
    root, names = Path(images_root(manifest)), manifest.frame["path"][:: len(manifest.frame) // 64]
    pixels = np.stack([load_image(root / name, FLAGSHIP.preprocessing) for name in names]).astype(np.float32)
    scores = model.get_layer(SCORES)
    features = keras.Model(model.input, scores.input)(pixels, training=False).numpy()
    kernel, bias = scores.get_weights()
    logits = features @ kernel
    spread = float(logits.std()) or 1.0
    scores.set_weights([kernel / spread, bias - logits.mean(axis=0) / spread])
    folder.mkdir(parents=True)
    model.save(folder / "model.keras")
    info = BundleInfo(
        name="flagship-untrained", origin=Origin.BASELINE, format=ModelFormat.KERAS, model_path="model.keras",
        classes=manifest.classes, positive_class=manifest.classes[-1], preprocessing=FLAGSHIP.preprocessing,
        threshold=Threshold(0.5, "nothing", "nothing"), manifest_hash=manifest.hash,
    )  # fmt: skip
    return write_bundle(folder, info)


def pictures_of(manifest: Manifest, contract: Preprocessing, gate: Gate | None, count: int, folder: Path) -> Pictures:
    """`count` images of the test split, spread evenly, of those that the page's check of likeness lets pass: as they
    are where they have 224x224, resized to it where not; the first one enlarged, with grain; the first one as the
    contract makes it."""
    root, names = Path(images_root(manifest)), manifest.split("test")["path"].to_numpy()
    folder.mkdir()
    small: list[Path] = []
    # Every n-th first, then those that lie one behind, and so on, until there are enough.
    step = max(1, len(names) // count)
    for name in (names[at] for offset in range(step) for at in range(offset, len(names), step)):
        path = _small(root / name, folder / f"small-{len(small):02d}.jpeg")
        if gate is None or gate.passes(gate.measure(load_image(path, contract))):
            small.append(path)
        if len(small) == count:
            break
    exact, large = folder / "exact.png", folder / "large.jpeg"
    Image.fromarray(load_image(small[0], contract).squeeze()).save(exact)
    with Image.open(small[0]) as picture:
        enlarged = np.asarray(picture.convert("L").resize(LARGE, Image.Resampling.BICUBIC), np.float32)
    grain = np.random.default_rng(7).normal(0, 3, enlarged.shape)
    Image.fromarray(np.clip(enlarged + grain, 0, 255).astype(np.uint8)).save(large, quality=90)
    return Pictures(tuple(small), large, exact)


def _small(source: Path, target: Path) -> Path:
    with Image.open(source) as picture:
        if picture.size != (SMALL_SIDE, SMALL_SIDE):
            picture.convert("L").resize((SMALL_SIDE, SMALL_SIDE), Image.Resampling.BICUBIC).save(target, quality=90)
            return target
    return Path(shutil.copyfile(source, target))
