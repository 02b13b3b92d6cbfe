"""What decodes files by itself is refused for wrong pixels, unreadable files and missing signatures."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundles import CLASSES, keras_bundle
from cxr.bundle import Bundle, Preprocessing, read_bundle, write_bundle
from cxr.compare.parity.images import golden_set
from cxr.compare.parity.judging import Reference, judged, judged_reading
from cxr.compare.parity.nouns import Cost, FormatCheck, Reading, Runtime, Scores, Verdict
from cxr.compare.parity.process import read_files, score_pixels
from cxr.errors import InputError
from cxr.local_baseline.exports.encoded_saved_model import export_encoded_saved_model
from cxr.local_baseline.exports.making import make_exports
from cxr.local_baseline.exports.plan import ExportRequest, plan_exports
from cxr.local_baseline.exports.registry import FORMATS
from cxr.local_baseline.exports.source import Source
from cxr.local_baseline.tensorflow_setup import load

CONTRACT = Preprocessing(20, 24, 1)
NOTHING = Cost(1.0, 1.0, None)
SAVED_MODEL = FORMATS["saved-model"]


def silent(done: int, total: int, note: str) -> None:
    del done, total, note


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A net of a mean and a slope, and its SavedModel."""
    keras = load().keras
    keras.utils.set_random_seed(4)
    image = keras.Input((20, 24, 1))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image)))
    model = keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(x), name="tiny")
    made = keras_bundle(model, tmp_path_factory.mktemp("runs") / "tiny")
    request = ExportRequest(made, (SAVED_MODEL,), made.folder.with_name("tiny-exports"), made.folder)
    make_exports(request, plan_exports(request), silent)
    return made


@pytest.fixture
def other(bundle: Bundle, tmp_path: Path) -> Callable[..., Bundle]:
    """Makes a copy of the export with a SavedModel that does what another contract says."""

    def make(contract: Preprocessing, *, with_halves: bool) -> Bundle:
        shutil.copytree(bundle.folder.with_name("tiny-exports") / SAVED_MODEL.name, tmp_path / "export")
        export = read_bundle(tmp_path / "export")
        shutil.rmtree(export.model_path)
        served = Source(bundle).shipment(SAVED_MODEL).model
        export_encoded_saved_model(served, export.model_path, CLASSES, contract, with_halves=with_halves)
        return write_bundle(export.folder, replace(export.info, files=()))

    return make


def test_a_graph_with_another_resize_is_refused_for_its_pixels(bundle: Bundle, other: Callable[..., Bundle]) -> None:
    golden = golden_set(CONTRACT)
    asked = Reference(golden, None, score_pixels(bundle, golden.pixels, timed_runs=1))
    export = other(replace(CONTRACT, aspect="center-crop"), with_halves=True)
    by_bytes = judged_reading(SAVED_MODEL, export, Runtime.TENSORFLOW, asked, read_files(export, golden.files, 1))
    assert by_bytes.verdict is Verdict.FAILED
    assert by_bytes.why.startswith("its own pixels differ by up to ")
    assert by_bytes.pixels is not None
    assert by_bytes.pixels.largest > 10
    scores = score_pixels(export, golden.pixels, timed_runs=1)
    assert judged(SAVED_MODEL, export, Runtime.TENSORFLOW, asked, scores).verdict is Verdict.PASSED  # the same net


def test_a_graph_without_its_halves_cannot_be_verified(other: Callable[..., Bundle]) -> None:
    export = other(CONTRACT, with_halves=False)
    golden = golden_set(CONTRACT)
    with pytest.raises(InputError, match=r"has no signature 'pixels'.*export it anew"):
        score_pixels(export, golden.pixels)
    unreadable = read_files(export, golden.files).unreadable
    assert len(unreadable) == len(golden)
    assert "has no signature 'preprocess'" in unreadable[0]


def reference() -> Reference:
    golden = golden_set(CONTRACT)
    probabilities = np.tile([0.25, 0.75], (len(golden), 1))
    return Reference(golden, None, Scores(probabilities, NOTHING))


def read(asked: Reference) -> Reading:
    """What a runtime without a fault says."""
    return Reading(asked.golden.pixels.copy(), asked.scores.probabilities.copy(), {}, NOTHING)


def check_of(bundle: Bundle, asked: Reference, reading: Reading) -> FormatCheck:
    return judged_reading(SAVED_MODEL, bundle, Runtime.TENSORFLOW, asked, reading)


def number_of(asked: Reference, name: str) -> int:
    return [path.name for path in asked.golden.files].index(name)


def test_known_differences_are_named_and_held_to_their_levels(bundle: Bundle) -> None:
    asked = reference()
    reading, number = read(asked), number_of(asked, "grey-16-bit.png")
    reading.pixels[number, 0, 0, 0] ^= 1
    reading.probabilities[number] = (0.9, 0.1)  # of other pixels: not judged
    check = check_of(bundle, asked, reading)
    assert check.verdict is Verdict.PASSED
    assert check.pixels is not None
    assert (check.pixels.images, check.pixels.largest) == (len(asked.golden) - 2, 0)
    assert "grey-16-bit.png (the upper 8 of 16 bits are kept, not rounded: 1 of at most 1 levels)" in check.left_out
    reading.pixels[number, 0, 0, 0] = asked.golden.pixels[number, 0, 0, 0] ^ 2
    worse = check_of(bundle, asked, reading)
    assert worse.verdict is Verdict.FAILED
    assert worse.why == "grey-16-bit.png differs by 2 levels, 1 are known"


def test_one_level_of_one_pixel_is_too_much_elsewhere(bundle: Bundle) -> None:
    asked = reference()
    reading = read(asked)
    reading.pixels[number_of(asked, "lossless.webp"), 3, 3, 0] ^= 1
    check = check_of(bundle, asked, reading)
    assert (check.verdict, check.why) == (Verdict.FAILED, "its own pixels differ by up to 1 levels")


def test_a_golden_image_that_is_not_read_is_named(bundle: Bundle) -> None:
    asked = reference()
    unreadable = {number_of(asked, "lossless.webp"): "unknown kind of file"}
    check = check_of(bundle, asked, replace(read(asked), unreadable=unreadable))
    assert (check.verdict, check.why) == (Verdict.FAILED, "it cannot read lossless.webp (unknown kind of file)")
