"""Shards as the place of images: the same pixels and the same training as from the folder, read only where needed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from machines import outcome, start, start_machines

from cxr.bundle import Preprocessing
from cxr.errors import InputError, UsageError
from cxr.local_baseline.images.cache import cached_images
from cxr.local_baseline.images.shard_source import ShardedImages, sharded_images
from cxr.local_baseline.request import TrainRequest, recipe_of
from cxr.local_baseline.train import train, training_data
from cxr.local_baseline.training.distribution import Cluster, Replicas
from cxr.local_baseline.training.stages import Surroundings
from cxr.manifests.manifest import Manifest, new_manifest
from cxr.manifests.shards import ShardOptions, plan_shards, write_shards
from cxr.manifests.tasks import task_view

PROGRAM = Path(__file__).parent / "shard_training_process.py"
CONTRACT = Preprocessing(24, 24, 1)


def silent(done: int, total: int, note: str) -> None:
    del done, total, note


@pytest.fixture(scope="session")
def shards(small_manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 40 images in shards of about five."""
    folder = tmp_path_factory.mktemp("shards")
    size = int(small_manifest.frame["size"].mean()) * 5
    write_shards(plan_shards(small_manifest, ShardOptions(size)), small_manifest.root, folder)
    return folder


@pytest.fixture
def own_shards(shards: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(shards, tmp_path / "own"))


def found(manifest: Manifest, folder: Path) -> ShardedImages:
    source = sharded_images(manifest, str(folder))
    assert source is not None
    return source


def test_the_pixels_are_those_of_the_folder(small_manifest: Manifest, shards: Path, tmp_path: Path) -> None:
    assert len(list(shards.glob("train-*"))) > 3
    ours = cached_images(small_manifest, str(shards), CONTRACT, tmp_path / "a", silent)
    theirs = cached_images(small_manifest, str(small_manifest.root), CONTRACT, tmp_path / "b", silent)
    assert np.array_equal(ours, theirs)


def test_only_shards_with_wanted_rows_are_read(small_manifest: Manifest, own_shards: Path, tmp_path: Path) -> None:
    for path in own_shards.glob("te*"):
        path.unlink()
    rows = np.flatnonzero(small_manifest.frame["split"] != "test")
    array = cached_images(small_manifest, str(own_shards), CONTRACT, tmp_path, silent, rows=rows)
    assert array[rows].min(axis=(1, 2, 3)).max() > 0
    with pytest.raises(InputError, match=r"cannot read the shard test-00000"):
        cached_images(small_manifest, str(own_shards), CONTRACT, tmp_path, silent)


@pytest.mark.slow
def test_a_training_from_shards_is_the_training_from_the_folder(
    small_request: TrainRequest, shards: Path, tmp_path: Path
) -> None:
    tiny = {**small_request.overrides, "batch_size": 8}
    histories = []
    for name, images in (("folder", small_request.images), ("shards", str(shards))):
        request = replace(
            small_request,
            images=images,
            recipe="edge",
            overrides=tiny,
            output=tmp_path / name,
            cache_dir=tmp_path / f"{name}-cache",
            deterministic=False,
        )
        histories.append((train(request, silent).folder / "training.csv").read_text().splitlines()[1].split(","))
    for ours, theirs in zip(*histories, strict=True):
        assert ours == theirs or float(ours) == pytest.approx(float(theirs), rel=1e-3)


def test_each_machine_decodes_its_share_of_the_training_images_and_all_of_validation(
    small_request: TrainRequest, shards: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(small_request)
    decoded = []
    for index in (0, 1):
        request = replace(small_request, images=str(shards), cache_dir=tmp_path / str(index))
        around = Surroundings(replicas=Replicas(Cluster(2, index)))
        heard: list[int] = []
        data = training_data(request, recipe, lambda done, total, note, heard=heard: heard.append(total), around)
        present = np.flatnonzero(np.asarray(data.images).max(axis=(1, 2, 3)))
        assert set(present) == {*data.train_here(), *data.validation}
        assert heard[-1] == len(present)
        decoded.append(set(data.train_here()))
        assert [set(group) for group in data.train_groups()][index] == decoded[index]
    assert not decoded[0] & decoded[1]
    assert decoded[0] | decoded[1] == set(data.train)
    assert abs(len(decoded[0]) - len(decoded[1])) <= 8  # whole shards


def test_more_machines_than_shards_are_refused(small_manifest: Manifest, shards: Path) -> None:
    train_rows = np.flatnonzero(small_manifest.frame["split"] == "train")
    with pytest.raises(UsageError, match="cannot be shared by 40 machines") as error:
        found(small_manifest, shards).owners("train", train_rows, 40)
    assert "--shard-mb" in str(error.value.hint)


def test_a_changed_byte_is_named_by_shard_and_record(
    small_manifest: Manifest, own_shards: Path, tmp_path: Path
) -> None:
    path = own_shards / "validation-00000-of-00002.tfrecord"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"validation-00000-of-00002\.tfrecord: record \d+ .* wrong checksum"):
        cached_images(small_manifest, str(own_shards), CONTRACT, tmp_path / "cache", silent)


def test_shards_that_were_swapped_are_noticed(small_manifest: Manifest, own_shards: Path, tmp_path: Path) -> None:
    first, second = (own_shards / f"validation-0000{number}-of-00002.tfrecord" for number in (0, 1))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with pytest.raises(InputError, match=r"where .* should be|more images than|ends after"):
        cached_images(small_manifest, str(own_shards), CONTRACT, tmp_path / "cache", silent)


def test_shards_of_another_manifest_are_refused(small_manifest: Manifest, shards: Path, tmp_path: Path) -> None:
    fewer = new_manifest(small_manifest.frame.iloc[1:], small_manifest.header, small_manifest.location)
    with pytest.raises(InputError, match="are of another manifest"):
        cached_images(fewer, str(shards), CONTRACT, tmp_path, silent)


@pytest.mark.parametrize(("written", "read"), [(None, "three-class"), ("three-class", "binary")])
def test_shards_of_one_view_of_the_labels_serve_the_others(
    small_manifest: Manifest, tmp_path: Path, written: str | None, read: str
) -> None:
    """They are a source of bytes: what the labels are called does not matter."""
    frame = small_manifest.frame
    told = frame.assign(etiology=frame["label"].map({"NORMAL": "", "PNEUMONIA": "viral"}))
    manifest = new_manifest(told, small_manifest.header, small_manifest.location)
    plan = plan_shards(task_view(manifest, written), ShardOptions(task=written))
    write_shards(plan, small_manifest.root, tmp_path / "shards")
    ours = cached_images(task_view(manifest, read), str(tmp_path / "shards"), CONTRACT, tmp_path / "a", silent)
    theirs = cached_images(manifest, str(small_manifest.root), CONTRACT, tmp_path / "b", silent)
    assert np.array_equal(ours, theirs)


def test_rows_in_no_shard_are_named(small_manifest: Manifest, tmp_path: Path) -> None:
    plan = plan_shards(small_manifest, ShardOptions(splits=("train",)))
    write_shards(plan, small_manifest.root, tmp_path / "train-only")
    with pytest.raises(InputError, match=r"(test|validation)/.*\.jpeg is in no shard"):
        cached_images(small_manifest, str(tmp_path / "train-only"), CONTRACT, tmp_path, silent)


def test_a_folder_of_images_with_some_other_index_is_a_folder_of_images(
    small_manifest: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "index.json").write_text('{"name": "chest_xray"}')
    assert sharded_images(small_manifest, str(tmp_path)) is None
    (tmp_path / "index.json").write_text("no JSON")
    assert sharded_images(small_manifest, str(tmp_path)) is None


@pytest.mark.slow
def test_two_machines_that_decode_a_share_each_come_to_what_one_does(
    small_manifest: Manifest, shards: Path, tmp_path: Path
) -> None:
    place = (small_manifest.location, shards)
    alone = outcome(start(PROGRAM, "alone", *place, tmp_path / "cache"))
    both = [("cluster", *place, tmp_path / f"cache-{kind}") for kind in ("chief", "worker")]
    chief, worker = (outcome(process) for process in start_machines(PROGRAM, *both))
    assert alone["decoded"] == alone["present"] == 32
    for machine in (chief, worker):
        assert machine["decoded"] == machine["present"] < 32
        assert machine["best_epoch"] == alone["best_epoch"]
        for mine, theirs in zip(machine["history"], alone["history"], strict=True):
            assert mine == pytest.approx(theirs, rel=2e-3, abs=1e-4)
        for mine, theirs in zip(machine["weights"], alone["weights"], strict=True):
            assert mine == pytest.approx(theirs, abs=1e-4)
    assert chief["decoded"] + worker["decoded"] == 24 + 2 * 8
