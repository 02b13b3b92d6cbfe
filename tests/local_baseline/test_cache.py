"""The cache of decoded images: complete or absent, made once, in the manifest's order."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr.bundle import Preprocessing
from cxr.errors import InputError
from cxr.local_baseline.images import row_file
from cxr.local_baseline.images.cache import cache_path, cached_images
from cxr.local_baseline.images.preprocess import load_image
from cxr.local_baseline.images.row_file import sums_path
from cxr.manifests.manifest import Manifest, new_manifest
from cxr.manifests.manifest_file import read_manifest
from cxr.storage.checksums import crc32c_of_bytes

CONTRACT = Preprocessing(24, 24, 1)


def build(
    manifest: Manifest, folder: Path, contract: Preprocessing = CONTRACT, **options: Any
) -> tuple[np.ndarray, list[int]]:
    heard: list[int] = []
    array = cached_images(
        manifest, str(manifest.root), contract, folder, lambda done, total, note: heard.append(done), **options
    )
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


@pytest.mark.parametrize("torn", ["pixels", "sums"])
def test_a_torn_file_is_made_anew(small_manifest: Manifest, tmp_path: Path, torn: str) -> None:
    whole, _ = build(small_manifest, tmp_path)
    path = cache_path(small_manifest, CONTRACT, tmp_path)
    expected = np.array(whole)
    del whole
    damaged = path if torn == "pixels" else sums_path(path)
    damaged.write_bytes(damaged.read_bytes()[:140])
    said: list[str] = []
    again, heard = build(small_manifest, tmp_path, say=said.append)
    assert heard[0] == 0
    assert (again == expected).all()
    assert said == [f"the image cache {path} is damaged: it is made anew"]


def test_only_damaged_rows_are_decoded_again(own_manifest: Manifest, tmp_path: Path) -> None:
    whole, _ = build(own_manifest, tmp_path / "cache")
    expected = np.array(whole)
    path = cache_path(own_manifest, CONTRACT, tmp_path / "cache")
    changed = np.load(path, mmap_mode="r+")
    changed[7, 3, 3] ^= 1
    changed[20] = 0
    del changed
    for row, name in enumerate(own_manifest.frame["path"]):  # of all others there is nothing left to decode
        if row not in {7, 20}:
            (own_manifest.root / name).unlink()
    said: list[str] = []
    again, heard = build(own_manifest, tmp_path / "cache", say=said.append)
    assert (again == expected).all()
    assert heard[0] == 38
    assert said == [f"2 images of the cache {path} are damaged: they are decoded again"]


def test_a_large_cache_is_looked_at_in_part_unless_asked(
    small_manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(small_manifest, tmp_path)
    monkeypatch.setattr(row_file, "CHECKED_BYTES", 3 * 24 * 24)  # three of the forty images
    changed = np.load(cache_path(small_manifest, CONTRACT, tmp_path), mmap_mode="r+")
    changed[5, 0, 0] ^= 1
    assert build(small_manifest, tmp_path)[1] == []
    assert build(small_manifest, tmp_path, verify=True)[1][0] == 39
    changed[[0, 5, 11]] ^= 1  # the first is one of the three: then all are looked at
    assert build(small_manifest, tmp_path)[1][0] == 37


def test_only_the_rows_that_are_asked_for_are_decoded(own_manifest: Manifest, tmp_path: Path) -> None:
    test = np.flatnonzero(own_manifest.frame["split"] == "test")
    few, heard = build(own_manifest, tmp_path / "cache", rows=test)
    assert sorted(set(heard)) == [0, len(test)]  # how often is the machine's affair
    assert few[test].min(axis=(1, 2, 3)).max() > 0
    shutil.rmtree(own_manifest.root / "test")
    whole, heard = build(own_manifest, tmp_path / "cache")
    assert heard[0] == len(test)
    assert len(whole) == 40


def test_a_broken_image_is_named_and_the_others_are_kept(own_manifest: Manifest, tmp_path: Path) -> None:
    name = own_manifest.frame["path"][3]
    own_manifest.frame.loc[3, "sha256"] = ""
    (own_manifest.root / name).write_bytes(b"\xff\xd8 no jpeg")
    with pytest.raises(InputError, match=name):
        build(own_manifest, tmp_path / "cache")
    sums = np.load(sums_path(cache_path(own_manifest, CONTRACT, tmp_path / "cache")))
    assert sums[3] == 0
    assert np.count_nonzero(sums) >= 3


def test_an_image_that_changed_since_the_scan_is_named(own_manifest: Manifest, tmp_path: Path) -> None:
    names = own_manifest.frame["path"]
    shutil.copyfile(own_manifest.root / names[5], own_manifest.root / names[4])
    with pytest.raises(InputError, match=names[4]) as error:
        build(own_manifest, tmp_path / "cache")
    assert "sha256" in error.value.message


@pytest.mark.parametrize("column", ["md5", "crc32c"])
def test_without_a_sha256_the_checksums_of_a_listing_are_compared(
    own_manifest: Manifest, tmp_path: Path, column: str
) -> None:
    sum_of = {"md5": lambda data: hashlib.md5(data).hexdigest(), "crc32c": crc32c_of_bytes}[column]
    listed = own_manifest.frame.assign(sha256="", md5="", crc32c="")
    listed[column] = [sum_of((own_manifest.root / name).read_bytes()) for name in listed["path"]]
    manifest = new_manifest(listed, own_manifest.header, own_manifest.location)
    build(manifest, tmp_path / "right")
    names = own_manifest.frame["path"]
    shutil.copyfile(own_manifest.root / names[5], own_manifest.root / names[4])
    with pytest.raises(InputError, match=f"{names[4]} .*{column} differs"):
        build(manifest, tmp_path / "wrong")


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
