"""On real X-rays: AutoML's stand-in, a custom job, cnn5 and the flagship on one manifest, as they are typed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cxr.bundle import BUNDLE_FILE
from cxr.cloud.emulator.process import stop
from cxr.compare.statistics.noninferiority import Verdict

#: Of each label at most so many: one epoch of four nets in minutes.
IMAGES = {"train": 260, "test": 60}
MOST_REPORT_BYTES = 3_000_000


def _cxr(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cxr", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1_500, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    return done


@pytest.fixture
def work(xrays: Path, tmp_path: Path) -> Iterator[Path]:
    """A working folder with some of the X-rays in the Kaggle layout."""
    for split, count in IMAGES.items():
        for label in ("NORMAL", "PNEUMONIA"):
            every = sorted((xrays / split / label).glob("*.jpeg"))
            (tmp_path / "some" / split / label).mkdir(parents=True)
            for path in every[:: max(1, len(every) // count)][:count]:
                shutil.copy(path, tmp_path / "some" / split / label)
    yield tmp_path
    stop(tmp_path / "demo" / ".cxr" / "emulator")


@pytest.mark.slow
@pytest.mark.xrays
@pytest.mark.timeout(3600)
def test_four_models_and_three_floors_stand_in_one_table(work: Path) -> None:
    _cxr(work, "demo", "--data", "some", "--epochs", "1", "--out", "demo")
    folder = work / "demo"
    _cxr(folder, "baseline", "train", "--recipe", "flagship", "--weights", "none", "--epochs", "1", "--quiet")
    bundles = sorted(str(path.parent.relative_to(folder)) for path in folder.glob(f"runs/*/{BUNDLE_FILE}"))
    assert len(bundles) == 4
    done = _cxr(folder, "compare", *bundles, "--manifest", "manifest.csv", "--out", "four", "--margin", "0.02")
    document: dict[str, Any] = json.loads((folder / "four" / "results.json").read_text(encoding="utf-8"))

    models = [row for row in document["rows"] if row["kind"] == "model"]
    assert sorted(row["bundle"]["origin"] for row in models) == ["automl", "baseline", "baseline", "custom-job"]
    floors = [row["name"] for row in document["rows"] if row["kind"] == "floor"]
    assert floors == ["majority class", "byte count", "32x32 pixels"]
    assert not [note for note in document["notes"] if "floor" in note]
    assert [row["stand_in"] for row in models] == [row["bundle"]["origin"] == "automl" for row in models]
    for row in models:
        area = row["metrics"]["auc"]
        assert 0 <= area["low"] <= area["value"] <= area["high"] <= 1
        assert row["latency_ms"] > 0

    reference = document["reference"]
    assert (reference["stand_in"], reference["margin"], len(reference["models"])) == (True, 0.02, 3)
    assert {model["verdict"] for model in reference["models"]} <= {str(verdict) for verdict in Verdict}
    assert "AutoML (emulator stand-in)" in done.stdout
    assert "not by a cloud's AutoML service" in done.stderr
    report = (folder / "four" / "report.html").read_bytes()
    assert len(report) < MOST_REPORT_BYTES
    assert b"emulator stand-in" in report
    assert len(list((folder / "four" / "model-cards").glob("*/MODEL_CARD.md"))) == 4

    # Once more: everything is there already, and nothing is scored or loaded.
    again = _cxr(folder, "compare", *bundles, "--manifest", "manifest.csv", "--out", "again", "--json")
    keep = ("name", "metrics", "confusion", "predictions_sha256", "latency_ms")
    assert [{key: row[key] for key in keep} for row in json.loads(again.stdout)["rows"]] == [
        {key: row[key] for key in keep} for row in document["rows"]
    ]
