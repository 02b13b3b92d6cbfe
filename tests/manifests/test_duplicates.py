"""Duplicates: exact ones by bytes, near ones by hash and correlation; true ones found, look-alikes left apart."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_pictures import make_folder, picture, put
from manifest_rows import manifest_of, row
from PIL import Image, ImageDraw

from cxr.manifests.duplicates.near import (
    COARSE_BITS,
    FINE_BITS,
    MIN_CORRELATION,
    SIDE,
    Thumbnail,
    candidate_pairs,
    find_near_duplicates,
    fitted_correlation,
)
from cxr.manifests.duplicates.perceptual_hash import HEX_DIGITS, coarse_and_fine, perceptual_hash, thumbnail
from cxr.manifests.duplicates.same import drop_duplicates, duplicate_groups
from cxr.manifests.manifest_file import read_manifest, write_manifest
from cxr.manifests.sample import draw_sample
from cxr.manifests.scan.folder import scan, scan_with_record

pytest.importorskip("imagehash", reason='needs the extra: pip install "cxr[data]"')


def _saved(image: Image.Image, quality: int = 90) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=quality)
    return stream.getvalue()


def _brightened(image: Image.Image, factor: float) -> Image.Image:
    return image.point([min(255, round(value * factor)) for value in range(256)] * len(image.getbands()))


def _cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    across, down = max(1, round(width * share)), max(1, round(height * share))
    return image.crop((across, down, width - across, height - down))


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "quality-50": lambda image: _saved(image, 50),
    "quality-95": lambda image: _saved(image, 95),
    "half": lambda image: _saved(image.resize((image.width // 2, image.height // 2))),
    "crop-1": lambda image: _saved(_cropped(image, 0.01)),
    "crop-2": lambda image: _saved(_cropped(image, 0.02)),
    "darker": lambda image: _saved(_brightened(image, 0.95)),
    "brighter": lambda image: _saved(_brightened(image, 1.05)),
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn sample of 40 chests."""
    folder = tmp_path_factory.mktemp("drawn")
    draw_sample(folder, images=40, seed=5)
    return folder


def test_drawn_chests_are_not_duplicates_of_each_other(drawn: Path) -> None:
    manifest = scan(drawn)
    assert manifest.header.near_duplicates
    assert set(manifest.frame["duplicate_group"]) == {""}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_joins_its_original(drawn: Path, tmp_path: Path, change: str) -> None:
    originals = sorted(drawn.rglob("train/*/*.jpeg"))[:6]
    for number, path in enumerate(originals):
        with Image.open(path) as image:
            put(tmp_path, f"{'AB'[number % 2]}/{number}-original.jpeg", path.read_bytes())
            put(tmp_path, f"{'AB'[number % 2]}/{number}-copy.jpeg", CHANGES[change](image))
    frame = scan(tmp_path).frame
    groups = frame.groupby("duplicate_group")["path"].agg(list)
    assert sorted(groups) == sorted(
        [f"{'AB'[n % 2]}/{n}-copy.jpeg", f"{'AB'[n % 2]}/{n}-original.jpeg"] for n in range(6)
    )
    assert all(key.startswith("near:") and len(key) == 21 for key in groups.index)


def _framed(image: Image.Image, wide: int, grey: int, side: int = 256) -> Image.Image:
    plate = Image.new("L", (side, side), grey)
    plate.paste(image.convert("L").resize((side - 2 * wide, side - 2 * wide)), (wide, wide))
    return plate


def _labelled(image: Image.Image) -> Image.Image:
    image = image.convert("L").resize((256, 256))
    draw = ImageDraw.Draw(image)
    for box in ((5, 5, 100, 25), (200, 5, 252, 25), (10, 235, 180, 250)):
        draw.rectangle(box, fill=255)
    return image


SURROUNDINGS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "black-frame": lambda image: _framed(image, 75, 0),
    "white-frame": lambda image: _framed(image, 50, 255),
    "small-field": lambda image: _framed(image, 312, 0, side=1024),
    "frame-with-labels": lambda image: _labelled(_framed(image, 30, 0)),
    "dark-with-labels": lambda image: _labelled(_brightened(image, 0.15)),
}


@pytest.mark.parametrize("surrounding", SURROUNDINGS)
def test_chests_in_one_surrounding_are_joined_with_their_copies_only(
    drawn: Path, tmp_path: Path, surrounding: str
) -> None:
    originals = sorted(drawn.rglob("train/*/*.jpeg"))[:12]
    for number, path in enumerate(originals):
        with Image.open(path) as image:
            around = SURROUNDINGS[surrounding](image)
        put(tmp_path, f"{'AB'[number % 2]}/{number}-original.jpeg", _saved(around, 95))
        for name in ("quality-50", "crop-1") if number < 3 else ():
            put(tmp_path, f"{'AB'[number % 2]}/{number}-{name}.jpeg", CHANGES[name](around))
    frame = scan(tmp_path).frame
    groups = frame[frame["duplicate_group"] != ""].groupby("duplicate_group")["path"].agg(list)
    assert sorted(groups) == sorted(
        [f"{'AB'[n % 2]}/{n}-{name}.jpeg" for name in ("crop-1", "original", "quality-50")] for n in range(3)
    )


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "F"])
@pytest.mark.parametrize("grey", [0, 255])
def test_a_frame_does_not_change_the_hash_nor_the_thumbnail(mode: str, grey: int) -> None:
    noise = np.kron(np.random.default_rng(2).integers(60, 200, (16, 16)), np.ones((12, 12)))
    plate = np.full((300, 420), grey)
    plate[40:232, 100:292] = noise
    deep = 257 if mode in {"I;16", "F"} else 1
    made = [
        np.asarray(plane * deep, {"I;16": np.uint16, "F": np.float32}.get(mode, np.uint8)) for plane in (noise, plate)
    ]
    inside, framed = (Image.fromarray(plane).convert(mode) for plane in made)
    assert perceptual_hash(framed) == perceptual_hash(inside)
    assert np.array_equal(np.asarray(thumbnail(framed, SIDE)), np.asarray(thumbnail(inside, SIDE)))


@pytest.mark.parametrize("shape", ["fading", "round", "flat"])
def test_a_border_that_fades_into_the_image_and_a_round_field_are_no_frame(shape: str) -> None:
    across = np.abs(np.arange(200) - 99.5)
    planes = {
        "fading": np.clip((90 - np.maximum.outer(across, across)) * 3, 0, 180),
        "round": np.where(np.hypot(across[:, None], across[None]) < 90, 150, 0),
        "flat": np.full((200, 200), 70),
    }
    image = Image.fromarray(planes[shape].astype(np.uint8))
    whole = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))
    assert np.array_equal(np.asarray(thumbnail(image, SIDE)), whole)


@pytest.mark.xrays
def test_real_x_rays_of_different_patients_are_not_joined_and_changed_copies_are(xrays: Path, tmp_path: Path) -> None:
    originals = sorted(xrays.glob("train/*/*.jpeg"))[::60]
    for number, path in enumerate(originals):
        label = path.parent.name
        put(tmp_path, f"train/{label}/{path.name}", path.read_bytes())
        change = list(CHANGES)[number % len(CHANGES)]
        with Image.open(path) as image:
            put(tmp_path, f"test/{label}/{path.name}", CHANGES[change](image))
    frame = scan(tmp_path).frame
    assert (frame["duplicate_group"] != "").mean() >= 0.97
    names = frame[frame["duplicate_group"] != ""].assign(name=frame["path"].str.rpartition("/")[2])
    assert names.groupby("duplicate_group")["name"].nunique().max() == 1


def test_a_second_scan_takes_over_the_verdicts(drawn: Path, tmp_path: Path) -> None:
    path = sorted(drawn.rglob("train/*/*.jpeg"))[0]
    put(tmp_path, "A/1.jpeg", path.read_bytes())
    with Image.open(path) as image:
        put(tmp_path, "A/2.jpeg", _saved(image, 60))
    put(tmp_path, "B/3.jpeg", picture(1))
    first = scan_with_record(tmp_path)
    assert first.record.near is not None
    assert len(first.record.near.pairs) == 1
    assert scan_with_record(tmp_path, earlier=first.record).record.near is first.record.near
    put(tmp_path, "B/4.jpeg", picture(2))
    hashes = dict(zip(first.record.frame["sha256"], first.record.frame["perceptual_hash"], strict=True))
    hashes["f" * 64] = "0f" * (HEX_DIGITS // 2)

    def refuse(sha: str) -> None:
        raise AssertionError(f"{sha} was looked at again")

    assert find_near_duplicates(hashes, refuse, first.record.near).pairs == first.record.near.pairs


@settings(max_examples=60, deadline=None)
@given(
    bases=st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=3),
    flips=st.lists(st.tuples(st.integers(0, 2), st.sets(st.integers(0, 255), max_size=70)), max_size=14),
)
def test_candidates_are_exactly_the_pairs_within_both_distances(
    bases: list[bytes], flips: list[tuple[int, set[int]]]
) -> None:
    hashes = []
    for which, places in flips:
        bits = int.from_bytes(bases[which % len(bases)], "big")
        for place in places:
            bits ^= 1 << place
        hashes.append(f"{bits:064x}")
    left, right, complete = candidate_pairs(hashes)
    assert complete
    expected = set()
    for i, one in enumerate(hashes):
        for j in range(i + 1, len(hashes)):
            differing = int(one, 16) ^ int(hashes[j], 16)
            # The coarse hash: of each of the first 8 rows of 16 bits the first 8.
            coarse = sum((differing >> (256 - 16 * line - 8) & 0xFF).bit_count() for line in range(8))
            if coarse <= COARSE_BITS and differing.bit_count() <= FINE_BITS:
                expected.add((i, j))
    assert set(zip(left.tolist(), right.tolist(), strict=True)) == expected
    distances = [(int(hashes[i], 16) ^ int(hashes[j], 16)).bit_count() for i, j in zip(left, right, strict=True)]
    assert distances == sorted(distances)
    for most in (0, 1, 3):
        *closest, complete = candidate_pairs(hashes, most)
        assert [part.tolist() for part in closest] == [left[:most].tolist(), right[:most].tolist()]
        assert complete == (len(left) <= most)


def test_only_the_closest_candidates_are_held_while_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(4)
    hashes = [f"{int(sum(1 << int(place) for place in draw.choice(256, 12, replace=False))):064x}" for _ in range(150)]
    whole = candidate_pairs(hashes)
    assert whole[2]
    assert len(whole[0]) > 5000
    held: list[int] = []
    partition = np.partition

    def watched(keys: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
        held.append(len(keys))
        return partition(keys, most)

    monkeypatch.setattr("cxr.manifests.duplicates.near.np.partition", watched)
    monkeypatch.setattr("cxr.manifests.duplicates.near._PAIRS_AT_ONCE", 1000)
    left, right, complete = candidate_pairs(hashes, 500)
    assert not complete
    assert (left.tolist(), right.tolist()) == (whole[0][:500].tolist(), whole[1][:500].tolist())
    assert len(held) > 1
    assert max(held) <= 4 * 500 + 1000


def _alike(count: int) -> tuple[dict[str, str], Thumbnail]:
    """Images with one hash, and the thumbnail of all of them."""
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    return {f"{number:064x}": "0f" * (HEX_DIGITS // 2) for number in range(count)}, noise


def test_a_search_is_incomplete_until_every_candidate_could_be_read() -> None:
    hashes, noise = _alike(4)
    away = f"{2:064x}"
    first = find_near_duplicates(hashes, lambda sha: None if sha == away else noise)
    assert (first.complete, first.cut_off, len(first.verdicts)) == (False, False, 3)
    looked_at: list[str] = []

    def read(sha: str) -> Thumbnail:
        looked_at.append(sha)
        return noise

    second = find_near_duplicates(hashes, read, first)
    assert (second.complete, len(second.pairs)) == (True, 6)
    assert looked_at.count(away) == 1
    assert find_near_duplicates(hashes, read, second) is second


def test_a_search_that_was_cut_off_is_not_made_again_but_what_it_could_not_read_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cxr.manifests.duplicates.near.MAX_CANDIDATES", 5)
    hashes, noise = _alike(6)
    first = find_near_duplicates(hashes, lambda sha: noise if sha != f"{5:064x}" else None)
    assert (first.complete, first.cut_off, len(first.verdicts)) == (False, False, 4)
    second = find_near_duplicates(hashes, lambda sha: noise, first)
    assert (second.complete, second.cut_off, len(second.verdicts)) == (False, True, 5)
    assert find_near_duplicates(hashes, lambda sha: noise, second) is second
    exactly = dict(list(hashes.items())[:3])
    monkeypatch.setattr("cxr.manifests.duplicates.near.MAX_CANDIDATES", 3)
    assert find_near_duplicates(exactly, lambda sha: noise).complete


def test_the_hash_has_the_digits_that_the_record_expects_in_every_mode() -> None:
    noise = Image.open(io.BytesIO(picture(3, size=(90, 70))))
    modes = ("1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F")
    hashes = [perceptual_hash(noise.convert(mode)) for mode in modes] + [
        perceptual_hash(noise.convert("I").convert("I;16"))
    ]
    assert {len(text) for text in hashes} == {HEX_DIGITS}
    coarse, fine = coarse_and_fine(hashes)
    assert (coarse.shape, fine.shape) == ((len(hashes),), (len(hashes), 4))


def test_16_bit_grey_has_the_thumbnail_of_its_8_bit_self() -> None:
    noise = Image.open(io.BytesIO(picture(3, size=(90, 70))))
    deep = Image.fromarray(np.asarray(noise, dtype=np.uint16) * 257)
    assert deep.mode == "I;16"
    difference = np.asarray(thumbnail(noise, SIDE), float) - np.asarray(thumbnail(deep, SIDE), float)
    assert np.abs(difference).max() <= 1


def test_a_flat_image_correlates_with_nothing() -> None:
    flat = np.full((SIDE, SIDE), 128, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    assert fitted_correlation(flat, noise) == fitted_correlation(noise, flat) == fitted_correlation(flat, flat) == 0
    assert fitted_correlation(noise, noise) > 0.999 > MIN_CORRELATION


def test_groups_are_connected_components_named_after_their_first_member() -> None:
    shas = [f"{n:064x}" for n in range(1, 7)]
    paths = ["e", "d", "c", "b", "a", "f"]
    rows = [row(path, "A", sha256=sha) for path, sha in zip(paths, shas, strict=True)]
    rows += [row("g", "A", sha256=shas[5]), row("h", "A", sha256=shas[0])]
    frame = manifest_of(rows).frame
    groups = dict(zip(frame["path"], duplicate_groups(frame, [(shas[0], shas[1]), (shas[1], shas[3])]), strict=True))
    # h has the bytes of e; e, d and b are joined by pairs, and b comes first.
    near = f"near:{shas[3][:16]}"
    assert groups == {
        "a": "",
        "b": near,
        "c": "",
        "d": near,
        "e": near,
        "f": f"same:{shas[5][:16]}",
        "g": f"same:{shas[5][:16]}",
        "h": near,
    }


def test_dropping_keeps_the_first_by_name_and_never_the_train_copy_before_the_test_one(tmp_path: Path) -> None:
    same = {"sha256": "a" * 64, "duplicate_group": "same:" + "a" * 16}
    other = {"sha256": "b" * 64, "duplicate_group": "same:" + "b" * 16}
    torn = {"sha256": "c" * 64, "duplicate_group": "same:" + "c" * 16}
    manifest = manifest_of(
        [
            row("Train/A/2", "A", **same),
            row("Train/A/1", "A", **same),
            row("Train/B/3", "B", **other),
            row("test/B/4", "B", split="test", **other),
            row("Train/A/5", "A", **torn),
            row("Train/B/5", "B", **torn),
        ]
    )
    left = drop_duplicates(manifest)
    assert list(left.frame["path"]) == ["Train/A/1", "Train/A/5", "Train/B/5", "test/B/4"]
    assert list(left.frame["duplicate_group"]) == ["", torn["duplicate_group"], torn["duplicate_group"], ""]
    dropped = [note for note in left.header.problems if note.rule == "dropped-duplicate"]
    assert [(note.severity, note.path) for note in dropped] == [("note", "Train/A/2"), ("note", "Train/B/3")]
    assert drop_duplicates(left) is left
    assert read_manifest(write_manifest(left, tmp_path / "m.csv").location or Path()).hash == left.hash


def test_without_imagehash_the_scan_says_so_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path, ["A/1.jpeg", "B/2.jpeg"])
    monkeypatch.setattr("cxr.manifests.scan.folder.can_hash", lambda: False)
    manifest = scan(tmp_path)
    assert not manifest.header.near_duplicates
    notes = [found for found in manifest.header.problems if found.severity == "note"]
    assert [note.rule for note in notes] == ["near-duplicates-unknown"]
    assert "imagehash" in notes[0].message
