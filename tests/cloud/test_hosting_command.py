"""`cxr cloud host`, as its users call it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')
pytest.importorskip("httptools", reason='needs the extra: pip install "cxr[gcp]"')

import requests
from hosted_page import FILES

from cxr.cloud.connection import connect
from cxr.cloud.hosting.gcs_host import GcsHost
from cxr.settings import Settings


@pytest.fixture
def cxr(local_cloud: Settings, run_cxr: Callable[..., Any]) -> Callable[..., Any]:
    """`cxr cloud host … --state-dir` of the running emulator."""
    return lambda *words, **options: run_cxr(
        "cloud", "host", *words, "--state-dir", str(local_cloud.state_dir), **options
    )


@pytest.fixture
def bucket() -> str:
    return f"cli-{uuid.uuid4().hex[:12]}"


def test_a_command_hosts_shows_json_and_removes(cxr: Any, page: Path, bucket: str) -> None:
    (page / "me.jpeg").write_bytes(b"x")
    where = ("--bucket", bucket, "--prefix", "")
    done = cxr(str(page), *where, "--public", "--yes", "--yes-public", bucket, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["schema"], said["sent"], said["public"]) == ("cxr.cloud.host", len(FILES) + 1, True)
    assert requests.get(said["addresses"][0]["url"], timeout=120).content == FILES["index.html"]
    assert "left out: me.jpeg" in done.stderr
    assert "nothing of the images" in done.stderr
    assert "need https" in done.stderr
    gone = cxr("--remove", *where, "--yes", "--json")
    assert json.loads(gone.stdout)["bucket_deleted"]


@pytest.mark.parametrize(
    "words",
    [
        ("--public",),
        ("--public", "--yes"),
        ("--public", "--yes", "--yes-public", "another"),
        ("--yes", "--yes-public", "{bucket}"),
        ("--public", "--yes-public", "{bucket}"),
    ],
    ids=["unasked", "yes", "another-bucket", "not-public", "not-yes"],
)
def test_nothing_is_made_public_without_its_name(
    cxr: Any, local_cloud: Settings, page: Path, bucket: str, words: tuple[str, ...]
) -> None:
    given = [word.format(bucket=bucket) for word in words]
    refused = cxr(str(page), "--bucket", bucket, *given)
    assert refused.returncode == 2
    assert "--yes-public" in refused.stderr
    assert GcsHost(connect(replace(local_cloud, bucket=bucket))).look() is None


@pytest.mark.parametrize("typed", ["yes", "the bucket"])
def test_on_a_terminal_the_buckets_name_has_to_be_typed(
    local_cloud: Settings, page: Path, bucket: str, typed: str
) -> None:
    master, slave = pty.openpty()
    state = str(local_cloud.state_dir)
    command = [sys.executable, "-m", "cxr", "cloud", "host", str(page), "--bucket", bucket, "--public"]
    process = subprocess.Popen(
        [*command, "--state-dir", state], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    os.write(master, (bucket if typed == "the bucket" else typed).encode() + b"\n")
    out, err = process.communicate(timeout=300)
    os.close(master)
    os.close(slave)
    if typed == "yes":
        assert (process.returncode, out.count("index.html")) == (2, 0), err
        return
    assert process.returncode == 0, err
    assert requests.get(out.splitlines()[-1], timeout=120).status_code == 200


def test_a_saved_plan_is_carried_out_only_while_it_is_true(cxr: Any, page: Path, bucket: str, tmp_path: Path) -> None:
    saved = tmp_path / "plan.json"
    made = cxr(str(page), "--bucket", bucket, "--plan", str(saved))
    assert made.returncode == 0, made.stderr
    assert "--apply" in made.stderr
    (page / "index.html").write_bytes(b"changed")
    stale = cxr("--apply", str(saved), "--yes")
    assert (stale.returncode, "send differ" in stale.stderr) == (5, True), stale.stderr
    (page / "index.html").write_bytes(FILES["index.html"])
    done = cxr("--apply", str(saved), "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent"] == len(FILES) + 1
    assert cxr("--apply", str(saved), "--bucket", "another-one").returncode == 2


@pytest.mark.parametrize(
    "words",
    [(), ("--remove", "{page}"), ("--remove",), ("{page}", "--prefix", "../up"), ("{page}", "--on", "azure")],
    ids=["no-page", "remove-a-page", "nothing-there", "prefix", "cloud"],
)
def test_wrong_words_are_refused(cxr: Any, page: Path, bucket: str, words: tuple[str, ...]) -> None:
    refused = cxr(*(word.format(page=page) for word in words), "--bucket", bucket, "--yes")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_a_folder_that_is_no_page_is_refused(cxr: Any, tmp_path: Path, bucket: str) -> None:
    (tmp_path / "images").mkdir()
    refused = cxr(str(tmp_path / "images"), "--bucket", bucket, "--yes")
    assert refused.returncode == 2
    assert "is not a page" in refused.stderr
