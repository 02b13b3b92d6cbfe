"""Shards: planned from the rows alone, whole or not at all, the same bytes each time, gone on with after a kill."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifest_pictures import picture, put
from manifest_rows import manifest_of, row

from cxr.errors import CxrError, Fault, InputError, UsageError
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.shards import (
    INDEX_NAME,
    ShardOptions,
    plan_shards,
    read_index,
    read_shard,
    verify_shards,
    write_shards,
)
from cxr.manifests.shards.journal import JOURNAL_NAME, locked_journal, read_journal


def _images(root: Path, count: int = 24) -> Manifest:
    """A manifest of `count` small pictures below `root`, a third of them in test."""
    rows = []
    for number in range(count):
        data = picture(number, format="PNG" if number % 5 == 0 else "JPEG")
        split, label = ("test" if number % 3 == 0 else "train"), ("NORMAL" if number % 4 == 0 else "PNEUMONIA")
        path = f"{split}/{label}/{number}.img"
        put(root, path, data)
        found = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "width": 24, "height": 20}
        format = "PNG" if number % 5 == 0 else "JPEG"
        rows.append(row(path, label, split=split, format=format, patient=f"p{number // 2}", **found))
    return manifest_of(rows)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


SMALL = ShardOptions(shard_bytes=4000)


def test_shards_hold_the_images_and_the_index_tells_all(tmp_path: Path) -> None:
    manifest = _images(tmp_path / "images")
    run = write_shards(plan_shards(manifest, SMALL), tmp_path / "images", tmp_path / "out")
    assert run.kept == ()
    index = read_index(tmp_path / "out")
    assert index == run.index
    assert (index.manifest, index.classes, index.seed) == (manifest.hash, ("NORMAL", "PNEUMONIA"), 7)
    assert sorted(_files(tmp_path / "out")) == sorted([INDEX_NAME, *run.written])
    rows = manifest.frame.set_index("path")
    for split in ("train", "test"):
        shards = index.of(split)
        assert [shard.file for shard in shards] == [
            f"{split}-{number:05d}-of-{len(shards):05d}.tfrecord" for number in range(len(shards))
        ]
        records = [record for shard in shards for record in read_shard(tmp_path / "out" / shard.file)]
        assert sorted(record.path for record in records) == list(manifest.split(split)["path"])
        assert [record.path for record in records] != list(manifest.split(split)["path"])
        for record in records:
            wanted = rows.loc[record.path]
            assert record.encoded == (tmp_path / "images" / record.path).read_bytes()
            assert (record.text, index.classes[record.label]) == (wanted["label"], wanted["label"])
            assert (record.format, record.width, record.height) == (wanted["format"], 24, 20)
            assert (record.sha256, record.patient) == (wanted["sha256"], wanted["patient"])
    assert verify_shards(tmp_path / "out") == (index, [])


def test_tensorflow_reads_the_shards(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", reason="needs TensorFlow (extra train)")
    manifest = _images(tmp_path / "images")
    index = write_shards(plan_shards(manifest, SMALL), tmp_path / "images", tmp_path / "out").index
    spec = {
        name: tf.io.FixedLenFeature([], tf.string if kind == "bytes" else tf.int64)
        for name, kind in json.loads((tmp_path / "out" / INDEX_NAME).read_text())["features"].items()
    }
    files = [str(tmp_path / "out" / shard.file) for shard in index.of("train")]
    seen = []
    for batch in tf.data.TFRecordDataset(files).batch(5).map(lambda records: tf.io.parse_example(records, spec)):
        for position, path in enumerate(batch["image/path"].numpy()):
            image = tf.io.decode_image(batch["image/encoded"][position], channels=1)
            assert image.shape == (batch["image/height"][position], batch["image/width"][position], 1)
            text = batch["image/class/text"][position].numpy().decode()
            assert index.classes[batch["image/class/label"][position]] == text
            seen.append(path.decode())
    assert sorted(seen) == list(manifest.split("train")["path"])


def test_two_runs_give_the_same_bytes_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    manifest = _images(tmp_path / "images")
    write_shards(plan_shards(manifest, SMALL), tmp_path / "images", tmp_path / "a")
    shuffled = manifest_of(manifest.frame.sample(frac=1, random_state=3).to_dict("records"))
    (tmp_path / "images").rename(tmp_path / "moved")
    write_shards(plan_shards(shuffled, SMALL), tmp_path / "moved", tmp_path / "b")
    assert _files(tmp_path / "a") == _files(tmp_path / "b")


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=60),
    shard_bytes=st.integers(1, 30_000),
    seed=st.integers(0, 5),
)
def test_every_image_is_in_one_shard_and_shards_are_of_about_equal_bytes(
    sizes: list[int], shard_bytes: int, seed: int
) -> None:
    rows = [row(f"A/{number}.png", "A", size=size) for number, size in enumerate(sizes)]
    manifest = manifest_of(rows)
    plan = plan_shards(manifest, ShardOptions(shard_bytes=shard_bytes, seed=seed))
    planned = [path for shard in plan.shards for path in shard.rows["path"]]
    assert sorted(planned) == sorted(manifest.frame["path"])
    assert all(len(shard.rows) for shard in plan.shards)
    mean = sum(shard.bytes for shard in plan.shards) / len(plan.shards)
    largest = max(sizes) + 500
    assert all(shard.bytes <= max(shard_bytes, mean) + largest for shard in plan.shards)
    again = plan_shards(manifest_of(rows[::-1]), ShardOptions(shard_bytes=shard_bytes, seed=seed))
    assert [path for shard in again.shards for path in shard.rows["path"]] == planned


def test_labels_mix_and_the_seed_decides_the_order() -> None:
    manifest = manifest_of([row(f"{label}/{n}.png", label) for label in "AB" for n in range(500)])
    plan = plan_shards(manifest, ShardOptions(shard_bytes=1_000_000))
    assert all(0.3 < (shard.rows["label"] == "A").mean() < 0.7 for shard in plan.shards)
    other = plan_shards(manifest, ShardOptions(shard_bytes=1_000_000, seed=8))
    assert list(other.shards[0].rows["path"]) != list(plan.shards[0].rows["path"])
    assert other.id != plan.id


def test_each_shard_goes_to_one_worker(tmp_path: Path) -> None:
    manifest = _images(tmp_path / "images")
    index = write_shards(plan_shards(manifest, SMALL), tmp_path / "images", tmp_path / "out").index
    shared = [shard for worker in range(3) for shard in index.of("train", worker=worker, workers=3)]
    assert sorted(shard.file for shard in shared) == [shard.file for shard in index.of("train")]
    with pytest.raises(UsageError, match="no worker 3"):
        index.of("train", worker=3, workers=3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ShardOptions(splits=("validation",)), "no validation images"),
        (ShardOptions(splits=("val",)), "unknown split 'val'"),
        (ShardOptions(shard_bytes=0), "0 bytes"),
    ],
)
def test_what_cannot_be_planned_is_refused(options: ShardOptions, words: str) -> None:
    with pytest.raises(CxrError, match=words):
        plan_shards(manifest_of([row("A/1.png", "A")]), options)
    with pytest.raises(InputError, match="in a split"):
        plan_shards(manifest_of([row("A/1.png", "A", split="")]))


def test_only_the_splits_asked_for_are_written(tmp_path: Path) -> None:
    manifest = _images(tmp_path / "images")
    plan = plan_shards(manifest, replace(SMALL, splits=("test",)))
    assert write_shards(plan, tmp_path / "images", tmp_path / "out").index.splits == ("test",)


@pytest.mark.parametrize("harm", ["changed", "missing", "longer"])
def test_an_image_that_is_not_the_manifests_is_named_and_no_half_shard_is_left(tmp_path: Path, harm: str) -> None:
    manifest = _images(tmp_path / "images")
    victim = manifest.split("train")["path"].iloc[5]
    path = tmp_path / "images" / victim
    data = path.read_bytes()
    path.unlink()
    if harm != "missing":
        path.write_bytes(data[:-1] + (b"?" if harm == "changed" else b"??"))
    with pytest.raises(InputError, match=victim):
        write_shards(plan_shards(manifest, SMALL), tmp_path / "images", tmp_path / "out")
    left = _files(tmp_path / "out")
    assert INDEX_NAME not in left
    assert not [name for name in left if name.endswith(".part")]
    path.write_bytes(data)
    run = write_shards(plan_shards(manifest, SMALL), tmp_path / "images", tmp_path / "out")
    assert set(run.kept) == {name for name in left if name.endswith(".tfrecord")}
    assert verify_shards(tmp_path / "out")[1] == []


def test_a_second_run_keeps_good_shards_and_writes_the_harmed_anew(tmp_path: Path) -> None:
    manifest = _images(tmp_path / "images")
    plan = plan_shards(manifest, SMALL)
    first = write_shards(plan, tmp_path / "images", tmp_path / "out")
    before = _files(tmp_path / "out")
    harmed, lost, *rest = first.written
    whole = (tmp_path / "out" / harmed).read_bytes()
    (tmp_path / "out" / harmed).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (tmp_path / "out" / lost).unlink()
    (tmp_path / "out" / f".{lost}.x1.part").write_bytes(b"half")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    faults = verify_shards(tmp_path / "out")[1]
    assert [fault.file for fault in faults] == [harmed, lost]
    second = write_shards(plan, tmp_path / "images", tmp_path / "out")
    assert (sorted(second.written), sorted(second.kept)) == (sorted([harmed, lost]), sorted(rest))
    assert _files(tmp_path / "out") == before | {"notes.txt": b"mine"}


@pytest.mark.parametrize("how", ["seed", "manifest", "size", "no index"])
def test_other_shards_are_replaced_only_by_force(tmp_path: Path, how: str) -> None:
    manifest = _images(tmp_path / "images")
    write_shards(plan_shards(manifest, SMALL), tmp_path / "images", tmp_path / "out")
    before = _files(tmp_path / "out")
    plan = plan_shards(manifest, replace(SMALL, shard_bytes=2000) if how == "size" else replace(SMALL, seed=8))
    if how == "manifest":
        plan = plan_shards(_images(tmp_path / "images", 20), SMALL)
    elif how == "no index":
        (tmp_path / "out" / INDEX_NAME).unlink()
        before.pop(INDEX_NAME)
        plan = plan_shards(manifest, SMALL)
    with pytest.raises(UsageError, match="other shards"):
        write_shards(plan, tmp_path / "images", tmp_path / "out")
    assert _files(tmp_path / "out") == before
    write_shards(plan, tmp_path / "images", tmp_path / "out", force=True)
    write_shards(plan, tmp_path / "images", tmp_path / "fresh")
    assert _files(tmp_path / "out") == _files(tmp_path / "fresh")


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    manifest = _images(tmp_path / "images")
    (tmp_path / "out").mkdir()
    with locked_journal(tmp_path / "out"), pytest.raises(InputError, match="another"):
        write_shards(plan_shards(manifest, SMALL), tmp_path / "images", tmp_path / "out")


def test_too_little_space_is_found_before_anything_is_written(tmp_path: Path) -> None:
    manifest = manifest_of([row("A/1.png", "A", size=10**17)])
    with pytest.raises(Fault, match="need about"):
        write_shards(plan_shards(manifest), tmp_path, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.tfrecord"))


def test_a_disk_that_refuses_is_a_fault_and_leaves_no_half_shard(tmp_path: Path) -> None:
    manifest = _images(tmp_path / "images")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond this: the kernel refuses the write, as it does on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, before[1]))
    try:
        with pytest.raises(Fault, match="cannot write"):
            write_shards(plan_shards(manifest), tmp_path / "images", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert set(_files(tmp_path / "out")) <= {JOURNAL_NAME}
    write_shards(plan_shards(manifest), tmp_path / "images", tmp_path / "out")
    assert verify_shards(tmp_path / "out")[1] == []


def test_killed_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    manifest = _images(tmp_path / "images", 600)
    write_manifest(
        replace(manifest, header=replace(manifest.header, root=str(tmp_path / "images"))), tmp_path / "m.csv"
    )
    plan = plan_shards(manifest, ShardOptions(shard_bytes=2000))
    # Nobody writes into the pipe: whoever reads the last image waits for ever, however late the kill comes.
    last = tmp_path / "images" / plan.shards[-1].rows["path"].iloc[-1]
    data = last.read_bytes()
    last.unlink()
    os.mkfifo(last)
    command = [sys.executable, "-m", "cxr", "data", "shard", "-m", "m.csv", "--out", "out", "--shard-mb", "0.002"]
    with subprocess.Popen([*command, "--quiet"], cwd=tmp_path, start_new_session=True) as running:
        while len(list((tmp_path / "out").glob("*.tfrecord"))) < 5:
            assert running.poll() is None, "it has ended by itself"
            time.sleep(0.001)
        os.killpg(running.pid, signal.SIGKILL)
    last.unlink()
    last.write_bytes(data)
    finished = len(list((tmp_path / "out").glob("*.tfrecord")))
    assert not (tmp_path / "out" / INDEX_NAME).exists()
    # The last line of the journal may be torn.
    with (tmp_path / "out" / JOURNAL_NAME).open("a") as journal:
        journal.write('{"file": "tra')
    (tmp_path / "out" / ".train-00000-of-00001.tfrecord.x.part").write_bytes(b"half")
    done = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert 0 < document["kept"] <= finished
    # A shard can have got its name without having got into the journal: one per writing thread.
    assert document["kept"] >= finished - 4
    assert document["kept"] + document["written"] == len(plan.shards)
    write_shards(plan, tmp_path / "images", tmp_path / "fresh")
    assert _files(tmp_path / "out") == _files(tmp_path / "fresh")


def test_a_manifest_that_was_not_decoded_gets_its_sizes_from_the_images(tmp_path: Path) -> None:
    manifest = _images(tmp_path / "images", 6)
    blank = manifest.frame.assign(width=0, height=0, format="", mode="", sha256="", md5="", crc32c="")
    plan = plan_shards(manifest_of(blank.to_dict("records")))
    index = write_shards(plan, tmp_path / "images", tmp_path / "out").index
    for shard in index.shards:
        for record in read_shard(tmp_path / "out" / shard.file):
            assert (record.width, record.height) == (24, 20)
            assert record.format in {"PNG", "JPEG"}
            assert record.sha256 == hashlib.sha256(record.encoded).hexdigest()


def test_a_broken_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no index"):
        verify_shards(tmp_path)
    for text in ("", "[]", '{"schema_version": 9}', '{"schema_version": 1, "splits": {"train": {"shards": [{}]}}}'):
        (tmp_path / INDEX_NAME).write_text(text)
        with pytest.raises(InputError):
            read_index(tmp_path)


def _spoilt(raw: dict[str, Any], where: str, value: object) -> str:
    *way, last = where.split(".")
    inner = raw
    for step in way:
        inner = inner[int(step) if step.isdigit() else step]
    inner[last] = value
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("counts", None), ("counts", [1]), ("counts", {"NORMAL": None}), ("counts", {"NORMAL": "3"}), ("records", "x"),
        ("records", True), ("bytes", -1.5), ("file", None), ("file", "../x"), ("sha256", 3), ("crc32c", {}),
    ],
)  # fmt: skip
def test_an_index_or_journal_damaged_by_hand_is_no_bug(tmp_path: Path, where: str, value: object) -> None:
    folder = _finished(tmp_path)
    text = _spoilt(json.loads((folder / INDEX_NAME).read_text()), f"splits.train.shards.0.{where}", value)
    (folder / INDEX_NAME).write_text(text)
    with pytest.raises(InputError, match="not an index of shards"):
        read_index(folder)
    shard = json.loads(text)["splits"]["train"]["shards"][0] | {"split": "train"}
    (folder / JOURNAL_NAME).write_text(f'{{"plan": "p"}}\n{json.dumps(shard)}\n')
    assert read_journal(folder) == ("p", [])


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("plan", None), ("manifest", 3), ("task", 3), ("classes", None), ("classes", "NORMAL"), ("classes", [3]),
        ("seed", "7"), ("shard_bytes", None), ("splits", None), ("splits", []), ("splits.train", None),
        ("splits.train.shards", None), ("splits.dev", {"shards": [{}]}),
    ],
)  # fmt: skip
def test_an_index_with_a_wrong_head_is_bad_input(tmp_path: Path, where: str, value: object) -> None:
    folder = _finished(tmp_path)
    (folder / INDEX_NAME).write_text(_spoilt(json.loads((folder / INDEX_NAME).read_text()), where, value))
    with pytest.raises(InputError, match="not an index of shards"):
        verify_shards(folder)


def _finished(tmp_path: Path) -> Path:
    manifest = _images(tmp_path / "images", 6)
    write_shards(plan_shards(manifest, SMALL), tmp_path / "images", tmp_path / "out")
    return tmp_path / "out"


def test_a_foreign_file_stays_and_is_in_nobodys_way(tmp_path: Path) -> None:
    manifest = _images(tmp_path / "images", 6)
    plan = plan_shards(manifest, SMALL)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/data.tfrecord").write_bytes(b"mine")
    for force in (False, True, False):
        write_shards(plan, tmp_path / "images", tmp_path / "out", force=force)
        assert (tmp_path / "out/data.tfrecord").read_bytes() == b"mine"
    assert verify_shards(tmp_path / "out")[1] == []
