"""`cxr data shard` as it is typed, in a process of its own."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr.manifests.manifest import ManifestHeader, new_manifest
from cxr.manifests.manifest_file import write_manifest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with `manifest.csv` and its 12 images, bacterial, viral and normal."""
    rows = []
    for number in range(12):
        etiology = ("", "bacterial", "viral")[number % 3]
        label = "PNEUMONIA" if etiology else "NORMAL"
        path = tmp_path / "images" / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 24), dtype=np.uint8)).save(path)
        found = {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        place = {"path": f"{label}/{number}.png", "label": label, "etiology": etiology, "patient": f"p{number}"}
        rows.append({**place, **found, "split": ("train", "test", "train", "")[number % 4]})
    header = ManifestHeader(root=str(tmp_path / "images"))
    write_manifest(new_manifest(pd.DataFrame(rows), header), tmp_path / "manifest.csv")
    return tmp_path


def test_shards_are_written_kept_and_verified(images: Path, run_cxr: Run) -> None:
    done = run_cxr("data", "shard", "--out", "shards", "--shard-mb", "0.001")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0].split() == ["split", "shards", "NORMAL", "PNEUMONIA", "images", "MB"]
    assert "3 images were left out" in done.stderr
    assert "next: cxr data shard --out shards --verify" in done.stderr

    again = run_cxr("data", "shard", "--out", "shards", "--shard-mb", "0.001", "--json", "--quiet")
    document = json.loads(again.stdout)
    assert (again.stderr, document["written"], document["schema"]) == ("", 0, "cxr.data.shard")
    assert document["kept"] == sum(len(split["shards"]) for split in document["splits"].values())

    verified = run_cxr("data", "shard", "--out", "shards", "--verify")
    assert (verified.returncode, "as the index says" in verified.stderr) == (0, True)
    first = sorted((images / "shards").glob("*.tfrecord"))[0]
    first.write_bytes(first.read_bytes()[:-3])
    refused = run_cxr("data", "shard", "--out", "shards", "--verify", "--json")
    assert refused.returncode == 5
    assert [fault["file"] for fault in json.loads(refused.stdout)["faults"]] == [first.name]
    assert first.name in refused.stderr


def test_a_task_gives_other_classes_and_a_folder_of_its_own(images: Path, run_cxr: Run) -> None:
    done = run_cxr("data", "shard", "--out", "three", "--task", "three-class", "--split", "train", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["classes"] == ["BACTERIAL", "NORMAL", "VIRAL"]
    assert (document["task"], list(document["splits"])) == ("three-class", ["train"])
    refused = run_cxr("data", "shard", "--out", "three")
    assert (refused.returncode, "--force" in refused.stderr) == (2, True)
    assert run_cxr("data", "shard", "--out", "three", "--force", "-q").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "x", "--shard-mb", "nan"], "nan MB cannot be"),
        (["--out", "x", "--split", "dev"], "unknown split 'dev'"),
        (["--out", "x", "--task", "quaternary"], "quaternary"),
        (["--out", "x", "--manifest", "none.csv"], "there is no manifest none.csv"),
        (["--out", "manifest.csv"], "manifest.csv cannot be a folder"),
        (["--out", "x", "--verify"], "there is no index"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_flags_are_told(images: Path, run_cxr: Run, arguments: list[str], words: str) -> None:
    done = run_cxr("data", "shard", *arguments)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert done.stdout == ""


def test_a_changed_image_and_images_in_a_bucket_are_refused(images: Path, run_cxr: Run) -> None:
    victim = next((images / "images").rglob("0.png"))
    victim.write_bytes(b"other")
    done = run_cxr("data", "shard", "--out", "shards")
    assert (done.returncode, "NORMAL/0.png" in done.stderr, "Traceback" in done.stderr) == (2, True, False)
    rows = pd.DataFrame([{"path": "A/1.png", "label": "A", "patient": "p", "split": "train"}])
    write_manifest(new_manifest(rows, ManifestHeader(root="gs://bucket/images")), images / "remote.csv")
    done = run_cxr("data", "shard", "--out", "shards2", "--manifest", "remote.csv")
    assert (done.returncode, "gs://bucket/images" in done.stderr) == (2, True)
