"""Images at their destination: a listing tells what is missing and what has other bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from manifest_rows import manifest_of, row

from cxr.errors import CheckFailed
from cxr.manifests.destination import compare_with_listing
from cxr.manifests.manifest import Manifest
from cxr.storage import open_store
from cxr.storage.checksums import crc32c_of_bytes


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Six images in a folder, with their true sizes and checksums; the last is in no split."""
    rows = []
    for n in range(6):
        data = b"image" * (n + 1)
        path = tmp_path / "images" / f"{n}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        split = "train" if n < 5 else ""
        rows.append(row(path.name, "A", split=split, size=len(data), crc32c=crc32c_of_bytes(data), md5=""))
    return manifest_of(rows)


def test_images_that_are_all_there_pass(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "images" / "5.png").unlink()
    (tmp_path / "images" / "more.png").write_bytes(b"")
    found = compare_with_listing(manifest, open_store(str(tmp_path / "images")))
    assert (found.images, found.missing, found.different) == (5, (), ())
    found.require_all()


def test_missing_and_changed_objects_are_counted_and_named(tmp_path: Path, manifest: Manifest) -> None:
    images = tmp_path / "images"
    (images / "0.png").unlink()
    (images / "1.png").write_bytes(b"x" * 10)  # the size of the first, other bytes
    (images / "2.png").write_bytes(b"")
    found = compare_with_listing(manifest, open_store(str(images)))
    assert (found.missing, found.different) == (("0.png",), ("1.png", "2.png"))
    with pytest.raises(CheckFailed) as caught:
        found.require_all()
    assert "1 of 5 images are not at" in caught.value.message
    assert "2 of 5 images have other bytes" in caught.value.message
    assert "1.png, 2.png" in caught.value.message
    assert "cxr cloud upload" in str(caught.value.hint)


def test_what_the_manifest_does_not_know_is_not_compared(tmp_path: Path, manifest: Manifest) -> None:
    unknown = replace(manifest, frame=manifest.frame.assign(size=0, crc32c=""))
    (tmp_path / "images" / "1.png").write_bytes(b"other")
    assert compare_with_listing(unknown, open_store(str(tmp_path / "images"))).different == ()


def test_only_the_first_names_are_shown(tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / "none").mkdir()
    found = compare_with_listing(manifest, open_store(str(tmp_path / "none")))
    with pytest.raises(CheckFailed, match=r"5 of 5 images are not at .* \(0.png, 1.png, 2.png, …\)"):
        found.require_all()
