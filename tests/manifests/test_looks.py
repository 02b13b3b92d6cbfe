"""The look at the images: thumbnails and greys of all that can be read, and a word on all that cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from manifest_rows import manifest_of, row
from PIL import Image

from cxr.errors import InputError
from cxr.manifests.check import check
from cxr.manifests.check.looks import grey, look
from cxr.manifests.manifest import Manifest, ManifestHeader, new_manifest


def _manifest(folder: Path, names: list[str]) -> Manifest:
    rows = [row(name, "AB"[n % 2], size=_size(folder / name)) for n, name in enumerate(names)]
    return replace(manifest_of(rows, near_duplicates=True), location=folder.parent / "manifest.csv")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 7000


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder `images` with eight flat grey PNGs, the n-th of grey 30 n."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(8):
        Image.new("L", (50, 40), 30 * number).save(folder / f"{number}.png")
    return folder


NAMES = [f"{number}.png" for number in range(8)]


def test_every_image_gives_a_thumbnail_and_its_greys(images: Path) -> None:
    seen = look(_manifest(images, NAMES))
    assert list(seen.rows) == list(range(8))
    assert seen.thumbnails.shape == (8, 32, 32)
    assert [int(one.mean()) for one in seen.thumbnails] == [30 * number for number in range(8)]
    assert seen.greys.sum(axis=1) == pytest.approx(np.ones(8))
    assert [int(one.argmax()) for one in seen.greys] == [30 * number // 4 for number in range(8)]
    assert (seen.missing, seen.changed, seen.unreadable) == ((), (), ())


def test_progress_reaches_the_end(images: Path) -> None:
    steps: list[tuple[int, int]] = []
    look(_manifest(images, NAMES), on_progress=lambda done, total, note: steps.append((done, total)))
    assert steps[-1] == (8, 8)


def test_missing_changed_and_broken_files_are_told_and_fail_the_check(images: Path) -> None:
    manifest = _manifest(images, NAMES)
    (images / "1.png").unlink()
    (images / "2.png").write_bytes((images / "2.png").read_bytes()[:40])
    (images / "3.png").write_bytes((images / "4.png").read_bytes() + b"more")
    seen = look(manifest)
    assert (seen.missing, seen.unreadable) == (("1.png",), ("2.png",))
    assert seen.changed == ("2.png", "3.png")
    assert list(seen.rows) == [0, 3, 4, 5, 6, 7]
    rules = {finding.rule for finding in check(manifest, seen).errors}
    assert rules >= {"image-missing", "image-changed", "image-unreadable"}


def test_a_size_that_is_not_known_is_not_a_change(images: Path) -> None:
    manifest = _manifest(images, NAMES)
    assert look(replace(manifest, frame=manifest.frame.assign(size=0))).changed == ()


def test_a_large_manifest_is_sampled_by_seed(images: Path) -> None:
    manifest = _manifest(images, NAMES)
    first, again, other = (look(manifest, seed=seed, limit=4) for seed in (1, 1, 2))
    assert (first.tried, first.images) == (4, 8)
    assert list(first.rows) == list(again.rows) == sorted(set(first.rows))
    assert list(first.rows) != list(other.rows)


def test_nothing_readable_is_no_crash(images: Path) -> None:
    manifest = _manifest(images, NAMES)
    for path in images.iterdir():
        path.write_bytes(b"not an image")
    seen = look(manifest)
    assert seen.thumbnails.shape == (0, 32, 32)
    assert len(seen.unreadable) == 8
    assert not check(manifest, seen).ok


def test_images_in_a_bucket_cannot_be_looked_at() -> None:
    header = ManifestHeader(root="gs://bucket/x", decoded=False)
    with pytest.raises(InputError, match="gs://bucket"):
        look(new_manifest(manifest_of([row("a.png", "A"), row("b.png", "B")]).frame, header))


def test_sixteen_bits_are_brought_down_and_not_cut_off() -> None:
    pixels = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    values = np.asarray(grey(Image.fromarray(pixels)))
    assert (values.min(), values.max()) == (0, 255)
    assert len(np.unique(values)) == 256


def test_twelve_bits_fill_the_range_too() -> None:
    pixels = np.linspace(0, 4095, 256).astype(np.uint16).reshape(16, 16)
    assert np.asarray(grey(Image.fromarray(pixels))).max() == 255


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"])
def test_every_mode_becomes_eight_bit_grey(mode: str) -> None:
    assert grey(Image.new(mode, (8, 8))).mode == "L"
