"""What costs time is loaded by nobody who does not need it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from provider_site import Site

from cxr.cloud.jobs.journal import Job

HEAVY = {
    "boto3",
    "botocore",
    "moto",
    "flask",
    "werkzeug",
    "google.cloud.storage",
    "google.cloud.aiplatform",
    "tensorflow",
    "pandas",
}


def loaded(errors: str) -> set[str]:
    """The modules in what -X importtime writes."""
    return set(re.findall(r"^import time:[^|]*\|[^|]*\|\s*(\S+)$", errors, re.MULTILINE))


@pytest.mark.parametrize("words", [("--help",), ("cloud", "train", "custom", "--help")])
def test_help_loads_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "cxr", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True)
    modules = loaded(done.stderr)
    assert "cxr.cli.main" in modules
    assert not modules & HEAVY


def test_the_list_of_jobs_loads_no_sdk(site: Site, trained: Job) -> None:
    other = site.beside("list")
    other.journal.add(replace(trained))
    command = [sys.executable, "-X", "importtime", "-m", "cxr", "cloud", "jobs", "--json"]
    done = subprocess.run(
        command, cwd=other.folder, env=other.environment(), capture_output=True, text=True, timeout=300, check=True
    )
    assert trained.id in done.stdout
    modules = loaded(done.stderr)
    assert "cxr.cloud.jobs.journal" in modules
    assert not modules & HEAVY
