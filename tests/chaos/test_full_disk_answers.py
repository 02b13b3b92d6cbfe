"""The emulator on a full disk says so at once, and is not asked again for minutes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from private_mounts import PrivateMounts

pytest.importorskip("google.cloud.storage", reason='needs the extra: pip install "cxr[gcp]"')
import requests

from cxr.errors import Fault, Unreachable
from cxr.storage import ABSENT, RetryingStore, open_store


def _fill(store: RetryingStore) -> Fault:
    """Send objects until one is refused."""
    for number in range(100):
        try:
            store.put_bytes(f"objects/{number}", bytes(20_000), if_version=ABSENT)
        except Fault as error:
            return error
    pytest.fail("the disk was never full")


def test_a_full_disk_is_told_without_asking_again_and_room_is_all_it_needs(
    tmp_path: Path, mounts: PrivateMounts
) -> None:
    disk = tmp_path / "disk"
    mounts.small_disk(disk, 1_000)
    command = [*mounts.prefix, sys.executable, "-m", "cxr.cloud.emulator", "--state", str(disk / "emulator")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            requests.post(f"{url}/storage/v1/b?project=p", json={"name": "bucket"}, timeout=120).raise_for_status()
            store = open_store("gs://bucket", endpoint=url, project="p")
            refused = _fill(store)
            assert not isinstance(refused, Unreachable)
            assert store.retrier.retries == 0
            assert f"The disk of the emulator's folder {disk / 'emulator'} is full" in refused.message
            assert "make room" in (refused.hint or "")

            mounts.resize(disk, 10_000)
            assert store.put_bytes("objects/more", bytes(20_000), if_version=ABSENT).size == 20_000
        finally:
            server.terminate()
