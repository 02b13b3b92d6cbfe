"""The cache of decoded images: complete or absent, made once, in the manifest's order."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from cxr.bundle import Preprocessing
from cxr.errors import InputError
from cxr.local_baseline.cache import cache_path, cached_images
from cxr.local_baseline.preprocess import load_image
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import read_manifest

CONTRACT = Preprocessing(24, 24, 1)


def build(manifest: Manifest, folder: Path, contract: Preprocessing = CONTRACT) -> tuple[np.ndarray, list[int]]:
    heard: list[int] = []
    array = cached_images(manifest, str(manifest.root), contract, folder, lambda done, total, note: heard.append(done))
    return array, heard


@pytest.fixture
def own_manifest(small_manifest: Manifest, tmp_path: Path) -> Manifest:
    """A copy that a test may damage."""
    shutil.copytree(small_manifest.root, tmp_path / "images")
    return read_manifest(tmp_path / "images" / "manifest.csv")


def test_rows_are_the_manifests_rows_in_order(small_manifest: Manifest, tmp_path: Path) -> None:
    array, heard = build(small_manifest, tmp_path)
    assert array.shape == (len(small_manifest.frame), 24, 24, 1)
    for row in (0, 17, len(array) - 1):
        expected = load_image(small_manifest.root / small_manifest.frame["path"][row], CONTRACT)
        assert (array[row] == expected).all()
    assert heard[0] == 0
    assert heard[-1] == len(array)


def test_the_array_is_mapped_read_only(small_manifest: Manifest, tmp_path: Path) -> None:
    array, _ = build(small_manifest, tmp_path)
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable


def test_a_second_call_decodes_nothing(own_manifest: Manifest, tmp_path: Path) -> None:
    first, _ = build(own_manifest, tmp_path / "cache")
    shutil.rmtree(own_manifest.root / "train")
    second, heard = build(own_manifest, tmp_path / "cache")
    assert heard == []
    assert (first == second).all()


def test_another_contract_is_another_cache_but_another_scale_is_not(small_manifest: Manifest, tmp_path: Path) -> None:
    paths = {
        cache_path(small_manifest, contract, tmp_path)
        for contract in (CONTRACT, Preprocessing(24, 24, 3), Preprocessing(24, 24, 1, scale=1 / 127.5, offset=-1))
    }
    assert len(paths) == 2


def test_a_torn_cache_is_made_anew(small_manifest: Manifest, tmp_path: Path) -> None:
    whole, _ = build(small_manifest, tmp_path)
    path = cache_path(small_manifest, CONTRACT, tmp_path)
    expected = np.array(whole)
    del whole
    path.write_bytes(path.read_bytes()[:500])
    again, heard = build(small_manifest, tmp_path)
    assert heard
    assert (again == expected).all()


def test_a_broken_image_is_named_and_leaves_no_cache(own_manifest: Manifest, tmp_path: Path) -> None:
    name = own_manifest.frame["path"][3]
    own_manifest.frame.loc[3, "sha256"] = ""
    (own_manifest.root / name).write_bytes(b"\xff\xd8 no jpeg")
    with pytest.raises(InputError, match=name):
        build(own_manifest, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_image_that_changed_since_the_scan_is_named(own_manifest: Manifest, tmp_path: Path) -> None:
    names = own_manifest.frame["path"]
    shutil.copyfile(own_manifest.root / names[5], own_manifest.root / names[4])
    with pytest.raises(InputError, match=names[4]) as error:
        build(own_manifest, tmp_path / "cache")
    assert "sha256" in error.value.message


def test_a_missing_image_is_named(own_manifest: Manifest, tmp_path: Path) -> None:
    (own_manifest.root / own_manifest.frame["path"][0]).unlink()
    with pytest.raises(InputError, match="is not there"):
        build(own_manifest, tmp_path / "cache")


def test_a_missing_folder_is_named(small_manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder of images"):
        cached_images(small_manifest, str(tmp_path / "nowhere"), CONTRACT, tmp_path, lambda *heard: None)


@pytest.mark.xrays
def test_real_xrays_of_the_same_size_are_kept_as_they_are(xrays: Path) -> None:
    path = next((xrays / "test" / "NORMAL").glob("*.jpeg"))
    pixels = load_image(path, Preprocessing(224, 224, 3, "center-crop"))
    assert pixels.shape == (224, 224, 3)
    assert (pixels[..., 0] == pixels[..., 1]).all()
