"""`cxr data scan` as it is typed: the record that it keeps, the split that it does not throw away, buckets, copies."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import read_manifest, write_manifest
from cxr.manifests.scan.folder import scan
from cxr.manifests.splits.split import make_validation

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


@pytest.fixture
def split(folder: Path) -> Manifest:
    """The folder's manifest, with a validation split that somebody has made."""
    return write_manifest(make_validation(scan(folder), validation=0.25), folder.parent / "manifest.csv")


def _result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.slow
def test_the_second_scan_uses_the_record_by_itself(run_cxr: Run, folder: Path) -> None:
    first = _result(run_cxr("data", "scan", "xrays", "--json"))
    assert (first["reused"], first["split_kept"]) == (0, False)
    again = run_cxr("data", "scan", "xrays", "--json")
    assert _result(again) | {"reused": 0} == first
    assert "40 of 40 files have not changed since the last scan" in again.stderr
    (folder.parent / "manifest.scan.csv").write_bytes(b"# {}\nrubbish")
    torn = run_cxr("data", "scan", "xrays", "--json")
    assert _result(torn)["reused"] == 0
    assert "every file is read: manifest.scan.csv cannot be read" in torn.stderr


def test_a_split_is_kept_new_images_are_assigned_and_fresh_lets_it_go(
    run_cxr: Run, folder: Path, split: Manifest
) -> None:
    path = folder.parent / "manifest.csv"
    for number in (90, 91, 92):
        _put(folder / "train" / "NORMAL" / f"person{number}_virus_{number}.jpeg", _picture(number))
    done = run_cxr("data", "scan", "xrays", "--json")
    told = _result(done)
    assert (told["split_kept"], told["new_images"], told["split_policy"]["name"]) == (True, 3, "grouped")
    assert "split kept (grouped, seed 7): 3 new images assigned" in done.stderr
    after = read_manifest(path).frame.set_index("path")["split"]
    assert after[list(split.frame["path"])].tolist() == split.frame["split"].tolist()

    path.write_text(path.read_text().replace(",train,", ",test,", 1))
    edited = path.read_bytes()
    refused = run_cxr("data", "scan", "xrays")
    assert refused.returncode == 2
    assert "its split cannot be kept" in refused.stderr
    assert "--fresh" in refused.stderr
    assert path.read_bytes() == edited

    fresh = _result(run_cxr("data", "scan", "xrays", "--json", "--fresh"))
    assert (fresh["split_policy"]["name"], fresh["reused"]) == ("official", 0)


@pytest.mark.usefixtures("split")
def test_a_scan_of_other_images_keeps_no_split(run_cxr: Run, folder: Path) -> None:
    for number in range(8):
        _put(folder.parent / "other" / "AB"[number % 2] / f"{number}.jpeg", _picture(200 + number))
    done = run_cxr("data", "scan", "other", "--json", "--no-decode")
    told = _result(done)
    assert (told["images"], told["split_kept"], told["split_policy"]["name"]) == (8, False, "official")
    assert "the earlier manifest has none of these images" in done.stderr
    header = read_manifest(folder.parent / "manifest.csv").header
    assert (header.decoded, header.near_duplicates) == (False, False)


def test_dropped_duplicates_are_told_by_path(run_cxr: Run, folder: Path) -> None:
    copy = folder / "train" / "NORMAL" / "person99_virus_1.jpeg"
    _put(copy, (folder / "train" / "NORMAL" / "person0_virus_0.jpeg").read_bytes())
    done = run_cxr("data", "scan", "xrays", "--drop-duplicates", "--no-near-duplicates", "--json")
    told = _result(done)
    assert (told["images"], told["dropped"]) == (40, 1)
    dropped = [found["path"] for found in told["problems"] if found["rule"] == "dropped-duplicate"]
    assert dropped == ["train/NORMAL/person99_virus_1.jpeg"]
    assert "note: train/NORMAL/person99_virus_1.jpeg" in done.stderr
    header = read_manifest(folder.parent / "manifest.csv").header
    assert (header.decoded, header.near_duplicates) == (True, False)


def test_ctrl_c_ends_with_its_own_code_and_leaves_no_half_file(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="needs a pseudo-terminal")
    images = 512
    pixels = np.random.default_rng(1).integers(0, 256, (1200, 1200), dtype=np.uint8)
    for label in "AB":
        (tmp_path / "xrays" / label).mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "xrays" / "A" / "0.jpeg")
    for number in range(1, images):
        os.link(tmp_path / "xrays" / "A" / "0.jpeg", tmp_path / "xrays" / "AB"[number % 2] / f"{number}.jpeg")
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-m", "cxr", "data", "scan", "xrays"]
    environment = os.environ | {"TERM": "xterm"}  # no bar is drawn on a dumb one
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    while not re.search(rb"[1-9][0-9]*/%d" % images, shown):
        shown += os.read(terminal, 4096)
    process.send_signal(signal.SIGINT)
    shown = _rest(terminal)
    assert process.wait(timeout=300) == 6
    assert b"interrupted: stopped by Ctrl-C" in shown
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"xrays", "manifest.scan.csv"}
    os.close(terminal)


def _rest(terminal: int) -> bytes:
    """What is still shown until the other end is closed."""
    shown = b""
    with contextlib.suppress(OSError):  # how Linux tells the end of a pseudo-terminal
        while piece := os.read(terminal, 4096):
            shown += piece
    return shown


def test_a_wrong_patient_key_is_told_before_a_bucket_is_opened(run_cxr: Run) -> None:
    done = run_cxr("data", "scan", "gs://bucket/x", "--patient-key", "surname")
    assert done.returncode == 2
    assert "'surname'" in done.stderr
    assert "emulator" not in done.stderr


@pytest.mark.slow
def test_a_bucket_that_cannot_be_listed_is_told_in_two_lines(run_cxr: Run) -> None:
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
