"""`cxr cloud upload` and `download` as a user types them: to S3, to a folder, with wrong flags, on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cxr.cli.cloud.transfers import parse_rate
from cxr.cli.transfer_line import status_text
from cxr.errors import UsageError
from cxr.storage.transfer.files import Tally
from s3_server import moto_origin

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_origin() as origin:
        yield origin


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images and their manifest."""
    folder = tmp_path_factory.mktemp("drawn")
    for arguments in (["sample", "images", "--images", "40"], ["scan", "images"], ["split"]):
        command = [sys.executable, "-m", "cxr", "data", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    """A working folder with forty images and their manifest."""
    shutil.copytree(drawn, tmp_path, dirs_exist_ok=True)
    return tmp_path


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_to_s3_and_back(run_cxr: Run, folder: Path, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    bucket = f"xrays-{uuid.uuid4().hex[:8]}"
    boto3.session.Session().client("s3", endpoint_url=moto).create_bucket(Bucket=bucket)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    url = f"s3://{bucket}/set"
    first = run_cxr("cloud", "upload", "--to", url, "--yes", "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["sent_files"] == 40
    second = json.loads(run_cxr("cloud", "upload", "--to", url, "--yes", "--json").stdout)
    assert (second["unchanged"], second["sent_files"], second["manifest_is_there"]) == (40, 0, True)
    back = run_cxr("cloud", "download", "back", "--from", url, "--json")
    assert back.returncode == 0, back.stderr
    assert files_of(folder / "back" / "images") == files_of(folder / "images")
    assert run_cxr("data", "diff", "manifest.csv", "back/manifest.csv").returncode == 0
    missing = run_cxr("cloud", "upload", "--to", f"s3://{bucket}-not/set", "--yes")
    assert missing.returncode == 2
    assert "there is no such" in missing.stderr


@pytest.mark.slow
def test_to_a_folder_and_back(run_cxr: Run, folder: Path) -> None:
    assert run_cxr("cloud", "upload", "--to", "disk/set", "--yes").returncode == 0
    assert files_of(folder / "disk" / "set" / "images") == files_of(folder / "images")
    again = run_cxr("cloud", "upload", "--to", "disk/set", "--yes", "--json")
    assert json.loads(again.stdout)["bytes_to_send"] == 0
    victim = next((folder / "disk" / "set" / "images").rglob("*.png"), None) or next(
        (folder / "disk" / "set" / "images").rglob("*.jpeg")
    )
    victim.write_bytes(b"rotten")
    refused = run_cxr("cloud", "download", "back", "--from", "disk/set")
    assert refused.returncode == 5
    assert "have other bytes than when they were scanned" in refused.stderr
    assert not (folder / "back").exists()
    assert run_cxr("cloud", "upload", "--to", "disk/set", "--yes").returncode == 0
    assert run_cxr("cloud", "download", "back", "--from", "disk/set").returncode == 0
    assert files_of(folder / "back" / "images") == files_of(folder / "images")
    kept = next((folder / "back" / "images").rglob("*.*"))
    kept.write_bytes(b"mine")
    asked = run_cxr("cloud", "download", "back", "--from", "disk/set")
    assert asked.returncode == 2
    assert "add --yes" in asked.stderr
    assert kept.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--max-rate", "fast"], "is not a rate"),
        (["--workers", "0"], "Invalid value for '--workers'"),
        (["--plan", "p", "--apply", "p"], "give one of the two"),
        (["--apply", "nowhere.jsonl"], "there is no plan nowhere.jsonl"),
        (["--to", "ftp://there"], "cannot store at ftp://there"),
        (["--to", "gs://Bad_Bucket!/x"], "not a legal bucket name"),
        (["--images", "gone"], "the images' folder gone is not there"),
    ],
)
def test_a_wrong_flag_is_told_and_nothing_is_begun(run_cxr: Run, folder: Path, arguments: list[str], told: str) -> None:
    done = run_cxr("cloud", "upload", "--yes", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_saved_plan_is_refused_for_another_split(run_cxr: Run, folder: Path) -> None:
    assert run_cxr("cloud", "upload", "--to", "disk", "--plan", "plan.jsonl").returncode == 0
    assert not (folder / "disk").exists()
    lines = [json.loads(line) for line in (folder / "plan.jsonl").read_text().splitlines()]
    assert lines[0]["schema"] == "cxr.transfer-plan"
    assert lines[-1]["totals"]["new"]["files"] == len(lines) - 2 == 40
    assert run_cxr("data", "split", "--validation", "0.3", "--seed", "5").returncode == 0
    refused = run_cxr("cloud", "upload", "--to", "disk", "--apply", "plan.jsonl", "--yes")
    assert refused.returncode == 5
    assert "was made for the manifest" in refused.stderr
    elsewhere = run_cxr("cloud", "upload", "--to", "disc", "--apply", "plan.jsonl", "--yes")
    assert elsewhere.returncode == 5
    assert "was made for the destination disk, this is disc" in elsewhere.stderr


@pytest.mark.slow
def test_deleting_what_a_saved_plan_does_not_delete_is_refused(run_cxr: Run, folder: Path) -> None:
    assert run_cxr("cloud", "upload", "--to", "disk", "--yes").returncode == 0
    (folder / "disk" / "images" / "old.png").write_bytes(b"old")
    assert run_cxr("cloud", "upload", "--to", "disk", "--plan", "plan.jsonl").returncode == 0
    refused = run_cxr("cloud", "upload", "--to", "disk", "--apply", "plan.jsonl", "--delete-orphans", "--yes")
    assert refused.returncode == 2
    assert "deletes nothing" in refused.stderr
    assert run_cxr("cloud", "upload", "--to", "disk", "--delete-orphans", "--plan", "plan.jsonl").returncode == 0
    applied = run_cxr("cloud", "upload", "--to", "disk", "--apply", "plan.jsonl", "--yes", "--json")
    assert json.loads(applied.stdout)["deleted"] == 1
    assert files_of(folder / "disk" / "images") == files_of(folder / "images")


def test_a_terminal_has_one_line_that_is_gone_at_the_end(folder: Path) -> None:
    leader, follower = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CXR_")}
    command = [sys.executable, "-m", "cxr", "cloud", "upload", "--to", "disk", "--yes", "--max-rate", "200K"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment | {"TERM": "xterm", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=follower,
        text=True,
    )
    os.close(follower)
    seen = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(leader)
    assert process.wait(300) == 0
    text = seen.decode()
    assert re.search(r"\ruploading \d+ of 40 files  [\d.]+ of [\d.]+ MB  [\d.]+ MB/s", text)
    assert "left" in text
    # The line is wiped before the last words.
    assert re.search(r"\r\x1b\[K[^\r]*uploaded 40 files", text)


def test_the_line_says_what_a_person_asks() -> None:
    tally = Tally(1234, 6000, 250_000_000, 1_200_000_000, 260_000_000, 3, 1)
    assert status_text(tally, "uploading", 12.5e6, 76.0) == (
        "uploading 1,234 of 6,000 files  250.0 of 1,200.0 MB  12.5 MB/s  1:16 left  3 retries  1 failed"
    )


@pytest.mark.parametrize(
    ("text", "rate"), [("500K", 5e5), ("10M", 1e7), ("1.5MB/s", 1.5e6), ("2g", 2e9), ("800", 800.0), ("4MiB", 4e6)]
)
def test_rates(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "M", "-1M", "10X", "1e9"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(UsageError):
        parse_rate(text)


@pytest.mark.parametrize("place", ["", "gs://", "s3:///", "gs:/bucket/x"])
def test_what_is_no_place_is_refused(run_cxr: Run, folder: Path, place: str) -> None:
    done = run_cxr("cloud", "upload", "--yes", "--delete-orphans", "--to", place)
    assert done.returncode == 2
    assert "is no place" in done.stderr
    assert len(files_of(folder / "images")) == 40


@pytest.mark.parametrize("place", [".", "images/NORMAL"])
def test_a_folder_is_not_filled_from_itself(run_cxr: Run, folder: Path, place: str) -> None:
    (folder / "images" / "notes.txt").write_text("mine")
    done = run_cxr("cloud", "upload", "--yes", "--delete-orphans", "--to", place)
    assert done.returncode == 2
    assert "or the other way round" in done.stderr
    assert (folder / "images" / "notes.txt").exists()
    assert len(files_of(folder / "images")) == 41


@pytest.mark.slow
def test_a_saved_plan_is_refused_when_another_manifest_was_sent_meanwhile(run_cxr: Run, folder: Path) -> None:
    assert run_cxr("cloud", "upload", "--to", "disk", "--plan", "plan.jsonl").returncode == 0
    shutil.copytree(folder, folder / "other", ignore=shutil.ignore_patterns("other"))
    assert run_cxr("data", "split", "--validation", "0.3", "--seed", "5", cwd=folder / "other").returncode == 0
    assert run_cxr("cloud", "upload", "--to", "../disk", "--yes", cwd=folder / "other").returncode == 0
    sent = (folder / "disk" / "manifest.csv").read_bytes()
    refused = run_cxr("cloud", "upload", "--to", "disk", "--apply", "plan.jsonl", "--yes")
    assert refused.returncode == 5
    assert "is another version" in refused.stderr
    assert (folder / "disk" / "manifest.csv").read_bytes() == sent


@pytest.mark.slow
def test_a_download_does_not_replace_a_manifest_unasked(run_cxr: Run, folder: Path) -> None:
    assert run_cxr("cloud", "upload", "--to", "disk", "--yes").returncode == 0
    assert run_cxr("cloud", "download", "back", "--from", "disk").returncode == 0
    (folder / "back" / "manifest.csv").write_text("my own")
    asked = run_cxr("cloud", "download", "back", "--from", "disk")
    assert asked.returncode == 2
    assert "the one here is replaced" in asked.stdout
    assert (folder / "back" / "manifest.csv").read_text() == "my own"
    assert run_cxr("cloud", "download", "back", "--from", "disk", "--yes").returncode == 0
    assert (folder / "back" / "manifest.csv").read_bytes() == (folder / "disk" / "manifest.csv").read_bytes()


def test_names_are_printed_without_what_a_terminal_obeys(run_cxr: Run, folder: Path) -> None:
    assert run_cxr("cloud", "upload", "--to", "disk", "--yes").returncode == 0
    (folder / "disk" / "images" / "\x1b]0;owned\x07.png").write_bytes(b"x")
    told = run_cxr("cloud", "upload", "--to", "disk", "--dry-run")
    assert r"\x1b]0;owned\x07.png" in told.stderr
    assert "\x1b" not in told.stderr + told.stdout


def test_a_manifest_is_where_all_of_its_images_are_and_nowhere_else(run_cxr: Run, folder: Path) -> None:
    torn = next((folder / "images").rglob("*.jpeg"))
    whole = torn.read_bytes()
    torn.write_bytes(whole[:-1] + b"?")
    assert run_cxr("cloud", "upload", "--to", "disk", "--yes").returncode == 2
    assert len(files_of(folder / "disk" / "images")) == 39
    assert not list((folder / "disk").glob("manifest*"))
    torn.write_bytes(whole)
    assert run_cxr("cloud", "upload", "--to", "disk", "--yes").returncode == 0
    assert sorted(path.name for path in (folder / "disk").glob("manifest*")) == ["manifest.csv", "manifest.json"]


def test_several_changed_files_are_told_to_be_scanned_again(run_cxr: Run, folder: Path) -> None:
    for path in sorted((folder / "images").rglob("*.*"))[:2]:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    done = run_cxr("cloud", "upload", "--to", "disk", "--yes")
    assert done.returncode == 2
    assert "2 of 40 files were not sent" in done.stderr
    assert "next: scan the folder again: cxr data scan" in done.stderr
