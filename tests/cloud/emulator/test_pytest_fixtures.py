"""The fixtures that other projects use, in a project of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

OTHERS = """
import urllib.error

import pytest
from google.cloud import aiplatform, storage


def test_mine(google_emulator):
    aiplatform.init(**google_emulator.aiplatform_options)
    client = storage.Client(**google_emulator.storage_options)
    client.create_bucket("mine", location=google_emulator.region).blob("a.txt").upload_from_string("a")
    assert [blob.name for blob in client.list_blobs("mine")] == ["a.txt"]
    assert aiplatform.ImageDataset.create(display_name="mine").display_name == "mine"


def test_faults(google_emulator):
    rule = {"operation": "storage.objects.list", "action": "status", "status": 403, "times": 1}
    google_emulator.control("faults", {"rules": [rule]})
    with pytest.raises(Exception, match="403"):
        list(storage.Client(**google_emulator.storage_options).list_blobs("mine"))
    assert google_emulator.control("faults", method="DELETE")["rules"] == []
    with pytest.raises(urllib.error.HTTPError, match="400"):
        google_emulator.control("faults", {"rules": 3})
"""


@pytest.mark.slow
def test_another_project_uses_the_emulator_in_its_tests(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["cxr.cloud.emulator.pytest_fixtures"]\n')
    (tmp_path / "test_others.py").write_text(OTHERS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 passed" in ended.stdout
