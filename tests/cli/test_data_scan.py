"""`cxr data scan` as it is typed: the record that it keeps, the split that it does not throw away, buckets, copies."""

from __future__ import annotations

import io
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr.manifests.manifest_file import read_manifest, write_manifest
from cxr.manifests.split import make_validation

Run = Callable[..., subprocess.CompletedProcess[str]]


def _picture(seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, format="JPEG")
    return stream.getvalue()


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (time.time() - 3600,) * 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two labels of twenty patients each, in train, an hour old."""
    for number in range(40):
        label = ("NORMAL", "PNEUMONIA")[number % 2]
        _put(tmp_path / "xrays" / "train" / label / f"person{number}_virus_{number}.jpeg", _picture(number))
    return tmp_path / "xrays"


def _result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_second_scan_uses_the_record_by_itself_and_fresh_does_not(run_cxr: Run, folder: Path) -> None:
    first = _result(run_cxr("data", "scan", "xrays", "--json"))
    assert (first["reused"], first["split_kept"]) == (0, False)
    again = run_cxr("data", "scan", "xrays", "--json")
    assert _result(again) | {"reused": 0} == first
    assert "40 of 40 files have not changed since the last scan" in again.stderr
    assert _result(run_cxr("data", "scan", "xrays", "--json", "--fresh"))["reused"] == 0
    (folder.parent / "manifest.scan.csv").write_bytes(b"# {}\nrubbish")
    torn = run_cxr("data", "scan", "xrays", "--json")
    assert _result(torn)["reused"] == 0
    assert "every file is read: manifest.scan.csv cannot be read" in torn.stderr
    assert _result(run_cxr("data", "scan", "xrays", "--json"))["reused"] == 40


def test_a_split_is_kept_new_images_are_assigned_and_fresh_lets_it_go(run_cxr: Run, folder: Path) -> None:
    path = folder.parent / "manifest.csv"
    assert run_cxr("data", "scan", "xrays").returncode == 0
    before = write_manifest(make_validation(read_manifest(path), validation=0.25), path)
    for number in (90, 91, 92):
        _put(folder / "train" / "NORMAL" / f"person{number}_virus_{number}.jpeg", _picture(number))
    done = run_cxr("data", "scan", "xrays", "--json")
    told = _result(done)
    assert (told["split_kept"], told["new_images"], told["split_policy"]["name"]) == (True, 3, "grouped")
    assert "split kept (grouped, seed 7): 3 new images assigned" in done.stderr
    after = read_manifest(path).frame.set_index("path")["split"]
    assert after[list(before.frame["path"])].tolist() == before.frame["split"].tolist()
    assert _result(run_cxr("data", "scan", "xrays", "--json", "--fresh"))["split_policy"]["name"] == "official"


def test_a_manifest_whose_split_cannot_be_read_is_not_written_over(run_cxr: Run, folder: Path) -> None:
    path = folder.parent / "manifest.csv"
    assert run_cxr("data", "scan", "xrays").returncode == 0
    path.write_text(path.read_text().replace(",train,", ",test,", 1))
    edited = path.read_bytes()
    refused = run_cxr("data", "scan", "xrays")
    assert refused.returncode == 2
    assert "its split cannot be kept" in refused.stderr
    assert "--fresh" in refused.stderr
    assert path.read_bytes() == edited
    assert run_cxr("data", "scan", "xrays", "--fresh").returncode == 0


def test_a_split_of_other_images_is_not_forced_on_these(run_cxr: Run, folder: Path) -> None:
    path = folder.parent / "manifest.csv"
    assert run_cxr("data", "scan", "xrays").returncode == 0
    write_manifest(make_validation(read_manifest(path), validation=0.25), path)
    for number in range(8):
        _put(folder.parent / "other" / "AB"[number % 2] / f"{number}.jpeg", _picture(200 + number))
    done = run_cxr("data", "scan", "other", "--json")
    assert _result(done)["split_kept"] is False
    assert "the earlier manifest has none of these images" in done.stderr


def test_dropped_duplicates_are_told_by_path(run_cxr: Run, folder: Path) -> None:
    copy = folder / "train" / "NORMAL" / "person99_virus_1.jpeg"
    _put(copy, (folder / "train" / "NORMAL" / "person0_virus_0.jpeg").read_bytes())
    assert _result(run_cxr("data", "scan", "xrays", "--json"))["images"] == 41
    done = run_cxr("data", "scan", "xrays", "--drop-duplicates", "--json")
    told = _result(done)
    assert (told["images"], told["dropped"]) == (40, 1)
    assert [(found["rule"], found["path"]) for found in told["problems"]] == [
        ("dropped-duplicate", "train/NORMAL/person99_virus_1.jpeg")
    ]
    assert "note: train/NORMAL/person99_virus_1.jpeg" in done.stderr


def test_options_of_reading_reach_the_header(run_cxr: Run, folder: Path) -> None:
    assert run_cxr("data", "scan", "xrays", "--no-decode", "--out", "heads.csv").returncode == 0
    header = read_manifest(folder.parent / "heads.csv").header
    assert (header.decoded, header.near_duplicates) == (False, False)
    assert run_cxr("data", "scan", "xrays", "--no-near-duplicates", "--out", "exact.csv").returncode == 0
    header = read_manifest(folder.parent / "exact.csv").header
    assert (header.decoded, header.near_duplicates, header.problems) == (True, False, ())


def test_a_bucket_that_cannot_be_listed_is_told_in_two_lines(run_cxr: Run) -> None:
    done = run_cxr("data", "scan", "ftp://host/x")
    assert done.returncode == 2
    assert "cannot list ftp://host/x" in done.stderr
    assert "s3://bucket/prefix" in done.stderr
    environment = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_MAX_ATTEMPTS": "1",
    }
    pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')
    done = run_cxr("data", "scan", "s3://bucket/x", env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("unreachable: list s3://bucket/x")
    assert "Traceback" not in done.stderr
