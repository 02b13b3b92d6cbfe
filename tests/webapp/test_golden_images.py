"""One preprocessing contract: Python, TensorFlow, TypeScript in Node and TypeScript in Chromium make the same pixels of
the golden images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_pixels import CONTRACTS, INEXACT, expected_pixels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cxr.bundle import Preprocessing
from cxr.golden import golden_images
from cxr.local_baseline.exports.encoded_saved_model import _pixels
from cxr.local_baseline.images.preprocess import load_image, preprocess
from cxr.local_baseline.tensorflow_setup import load

by_name = pytest.mark.parametrize("contract_name", CONTRACTS)


def test_golden_images_are_many_and_small() -> None:
    sizes = [path.stat().st_size for path in golden_images()]
    assert len(sizes) >= 14
    assert sum(sizes) < 150_000


@pytest.mark.parametrize("path", golden_images(), ids=lambda path: path.name)
@by_name
def test_python_makes_the_expected_pixels(path: Path, contract_name: str) -> None:
    expected = expected_pixels(path.name, contract_name)
    assert (load_image(path, CONTRACTS[contract_name]) == expected).all()
    assert np.ptp(expected) > 60  # a picture, not a plane


def planes_of(image: Path, folder: Path) -> dict[str, Any]:
    """A file as Pillow decodes it, each plane in a raw file: for Node, which has no decoder for JPEG and WebP."""
    with Image.open(image) as opened:
        pixels = np.asarray(opened if opened.mode == "L" else opened.convert("RGB"))
    planes = [pixels] if pixels.ndim == 2 else [pixels[..., channel] for channel in range(3)]
    paths = [folder / f"{image.name}-{number}.raw" for number in range(len(planes))]
    for path, plane in zip(paths, planes, strict=True):
        np.ascontiguousarray(plane).tofile(path)
    return {"planes": list(map(str, paths)), "type": "uint8", "height": pixels.shape[0], "width": pixels.shape[1]}


@by_name
def test_typescript_makes_them_in_node(contract_name: str, in_node: Callable[..., Any], tmp_path: Path) -> None:
    images = golden_images()
    sources = [{"file": str(path)} if path.suffix == ".png" else planes_of(path, tmp_path) for path in images]
    answers = in_node([{**source, "contract": CONTRACTS[contract_name]} for source in sources])
    wrong = [
        path.name
        for path, answer in zip(images, answers, strict=True)
        if not (answer["pixels"] == expected_pixels(path.name, contract_name)).all()
    ]
    assert wrong == []


@by_name
def test_typescript_makes_them_in_chromium(contract_name: str, verify: Callable[..., Any]) -> None:
    images = golden_images()
    told = verify(images, CONTRACTS[contract_name])["images"]
    difference = {
        path.name: int(np.abs(image["pixels"].astype(int) - expected_pixels(path.name, contract_name)).max())
        for path, image in zip(images, told, strict=True)
    }
    assert {name: most for name, most in difference.items() if most > (2 if name in INEXACT else 0)} == {}
    assert [image["kind"] for image in told[:1]] == ["JPEG"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_size_gives_the_same_pixels(data: st.DataObject, in_node: Callable[..., Any], tmp_path: Path) -> None:
    size = st.integers(1, 90)
    aspects = st.sampled_from(["squash", "center-crop", "pad"])
    cases, expected = [], []
    for number in range(8):
        height, width = data.draw(size), data.draw(size)
        contract = Preprocessing(
            data.draw(size), data.draw(size), data.draw(st.sampled_from([1, 3])), data.draw(aspects)
        )
        rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
        # Whole numbers as in a file of 8 bits, or between them as in one of 16.
        plane = (rng.integers(0, 65536, (height, width)) / np.float32(257)).astype(np.float32)
        if data.draw(st.booleans()):
            plane = np.rint(plane)
        path = tmp_path / f"{number}.raw"
        plane.tofile(path)
        cases.append({"planes": [str(path)], "type": "float32", "height": height, "width": width, "contract": contract})
        expected.append(preprocess([plane], contract))
    for answer, pixels in zip(in_node(cases), expected, strict=True):
        assert (answer["pixels"] == pixels).all()


def test_real_originals_give_the_same_pixels_in_chromium(xrays: Path, verify: Callable[..., Any]) -> None:
    folder = xrays.parent / "originals"
    if not folder.is_dir():
        pytest.skip("the unresized originals are not here: ../shared/data/originals")
    files = sorted(folder.glob("*/*.jpeg"))[::12]
    assert len(files) >= 9
    for contract in (Preprocessing(192, 192, 1, "pad"), Preprocessing(150, 150, 3)):
        for path, image in zip(files, verify(files, contract)["images"], strict=True):
            assert (image["pixels"] == load_image(path, contract)).all(), path.name


@pytest.mark.parametrize("channels", [1, 3])
def test_tensorflow_makes_them_but_for_values_half_way_between_two_levels(channels: int) -> None:
    tf = load().tf
    contract = replace(CONTRACTS["squash-50x40x1"], channels=channels)
    for path in golden_images():
        if path.suffix == ".webp" or path.name in INEXACT:
            continue  # TensorFlow has no decoder for the one, and its own rule for the other
        made = _pixels(tf, tf.constant(path.read_bytes()), contract).numpy()
        difference = np.abs(made - load_image(path, contract).astype(int))
        assert difference.max() <= 1, path.name
        # Of 16 bits it drops the lower 8, where the contract rounds.
        assert difference.mean() < (0.3 if path.name == "grey-16-bit.png" else 0.02), path.name
