"""Each recipe's net in each format says what the net says, at the tolerances of `cxr export verify`: golden images and
drawn ones (and real X-rays, where they are at hand), pixels first where a format decodes files by itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from recipe_nets import draw_films, recipe_bundle, small_recipe
from recipe_parity import checks_of, exports_of, images_of, reference_of

from cxr.bundle import ModelFormat
from cxr.compare.parity.layer_order import unfoldable
from cxr.compare.parity.nouns import FormatCheck, Verdict
from cxr.compare.parity.verify import CANNOT_RUN
from cxr.local_baseline.exports.nouns import Format
from cxr.local_baseline.exports.registry import FORMATS, lacking
from cxr.local_baseline.recipes import RECIPES, Architecture
from cxr.manifests.manifest import Manifest
from cxr.manifests.scan.folder import scan
from cxr.webapp import static

#: Many layers: minutes each. CXR_ALL_RECIPES=1 has them tested too.
DEEP = frozenset({"resnet50-frozen", "vgg16-frozen", "densenet121", "efficientnet-b0"})
RUNNABLE = tuple(form for form in FORMATS.values() if form.model_format not in CANNOT_RUN)
EIGHT_BITS = frozenset({"tflite-int8", "edgetpu"})
#: Pairs that the registry's tolerance refuses, always: batch norm behind an activation, which cannot be folded.
REFUSED = {"cnn5": EIGHT_BITS}
#: Pairs that it may refuse here: random weights of many layers add up more rounding than trained ones (figures of a
#: trained net: docs/export.md). They are held to RANDOM_SHARE instead.
EIGHT_BIT_WEIGHTS = EIGHT_BITS | {"tflite-dynamic", "tfjs-uint8"}
#: `edge` says about a half of many drawn images: two of a hundred flip by hundredths.
RANDOM = {
    recipe.name: EIGHT_BIT_WEIGHTS
    for recipe in RECIPES.values()
    if recipe.architecture is Architecture.BACKBONE or recipe.name == "edge"
}
#: Mean difference of what is in RANDOM, as a share of the standard deviation of the net's own probabilities.
RANDOM_SHARE = 0.5
COUNTS = {"train": 50, "test": 50}
REAL_COUNTS = {"train": 40, "test": 20}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Drawn images, as different as can be."""
    return draw_films(tmp_path_factory.mktemp("drawn"), COUNTS)


@pytest.fixture(scope="module")
def real(xrays: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Some real X-rays; skips where there are none."""
    folder = tmp_path_factory.mktemp("real")
    for split, count in REAL_COUNTS.items():
        for label in ("NORMAL", "PNEUMONIA"):
            (folder / split / label).mkdir(parents=True)
            paths = sorted((xrays / split / label).iterdir())
            for path in paths[:: len(paths) // count][:count]:
                shutil.copyfile(path, folder / split / label / path.name)
    return scan(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipes_exports_say_what_its_net_says(name: str, drawn: Manifest, cache_dir: Path, tmp_path: Path) -> None:
    if name in DEEP and not os.environ.get("CXR_ALL_RECIPES"):
        pytest.skip(f"{name} takes minutes: CXR_ALL_RECIPES=1 has it tested")
    check_exports(name, drawn, runnable_here(), cache_dir, tmp_path)


@pytest.mark.slow
@pytest.mark.xrays
@pytest.mark.parametrize("name", ["cnn5", "edge", "mobilenet-v2"])
def test_they_do_of_real_xrays(name: str, real: Manifest, cache_dir: Path, tmp_path: Path) -> None:
    floats = [form for form in runnable_here() if form.form in {"", "float32"} and not form.needs_representative]
    check_exports(name, real, floats, cache_dir, tmp_path)


def runnable_here() -> list[Format]:
    """All formats that can be run on some machine; skips where a package or the built page is missing: none of them may
    be left out in silence."""
    missing = [form.name for form in RUNNABLE if lacking(form)]
    if missing:
        pytest.skip(f"the extra export is not installed, for {', '.join(missing)}")
    if not (static.FOLDER / static.BUILD_FILE).is_file():
        pytest.skip("the web files are not built, which score TensorFlow.js: make web")
    return list(RUNNABLE)


def check_exports(name: str, manifest: Manifest, formats: list[Format], cache_dir: Path, folder: Path) -> None:
    """Exports a recipe's net to all formats, and holds each verdict against what is expected."""
    contract = small_recipe(name).preprocessing
    train, test = (images_of(manifest, split, contract, cache_dir) for split in ("train", "test"))
    bundle = recipe_bundle(name, manifest, train, test, folder)
    reference = reference_of(bundle, test)
    probabilities = reference.scores.probabilities[len(reference.golden) :, 1]
    assert probabilities.std() > 0.01  # a net that says the same of all images would prove nothing
    assert (unfoldable(bundle.model_path) is not None) == (name in REFUSED)
    exports = exports_of(bundle, manifest, formats, cache_dir)
    for form in formats:
        done = exports[form.name]
        assert done.bundle is not None, done.failure
        for check in checks_of(form, done.bundle, reference):
            assert is_as_expected(name, check, float(probabilities.std())), (form.name, check.signature, check)
            if check.signature == "serving_default":
                assert check.pixels is not None
                assert check.pixels.largest == 0


def is_as_expected(name: str, check: FormatCheck, deviation: float) -> bool:
    """Whether a check ended as it has to."""
    if check.format.name in REFUSED.get(name, ()):
        return check.verdict is Verdict.FAILED
    if check.format.name in RANDOM.get(name, ()):
        return check.split is not None and check.split.mean < RANDOM_SHARE * deviation
    return check.verdict is Verdict.PASSED


def test_formats_that_cannot_be_run_here_are_known() -> None:
    assert {form.name for form in FORMATS.values()} - {form.name for form in RUNNABLE} == {"coreml"}
    assert set(CANNOT_RUN) == {ModelFormat.CORE_ML}
