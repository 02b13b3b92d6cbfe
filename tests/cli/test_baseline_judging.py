"""`cxr baseline evaluate` and `crossval` as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr.bundle import read_bundle
from cxr.manifests.manifest import BLANK_ROW, ManifestHeader, new_manifest
from cxr.manifests.manifest_file import write_manifest

RunCxr = Callable[..., subprocess.CompletedProcess[str]]
KINDS = (("NORMAL", "", "IM"), ("PNEUMONIA", "bacterial", "person-bacterial"), ("PNEUMONIA", "viral", "person-viral"))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with manifest.csv and 60 small images of two labels, the second in two etiologies."""
    folder = tmp_path_factory.mktemp("work")
    rows = []
    counter = 0
    for split, count in (("train", 10), ("validation", 5), ("test", 5)):
        for kind, (label, etiology, series) in enumerate(KINDS):
            for number in range(count):
                counter += 1
                name = f"{split}/{label}/{series}-{number}.jpeg"
                path = folder / "xrays" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                noise = np.random.default_rng(counter).normal(110 + 12 * kind, 30, (60, 70))
                Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(path)
                facts = {"path": name, "label": label, "etiology": etiology, "split": split, "width": 70, "height": 60}
                rows.append(BLANK_ROW | facts | {"patient": f"{series}-{counter}", "size": path.stat().st_size})
    location = folder / "manifest.csv"
    write_manifest(new_manifest(pd.DataFrame(rows), ManifestHeader(root="xrays"), location), location)
    return folder


@pytest.fixture(scope="module")
def trained(work: Path) -> Path:
    """A bundle of one epoch."""
    command = [sys.executable, "-m", "cxr", "baseline", "train", "--recipe", "edge", "--epochs", "1", "--quiet"]
    subprocess.run([*command, "--out", "runs/edge"], cwd=work, check=True, capture_output=True)
    return work / "runs" / "edge"


@pytest.mark.slow
def test_plain_evaluation_changes_nothing_and_a_new_threshold_is_told(
    work: Path, trained: Path, run_cxr: RunCxr
) -> None:
    before = (trained / "bundle.json").read_bytes()
    plain = run_cxr("baseline", "evaluate", "runs/edge", "--json", cwd=work)
    assert plain.returncode == 0, plain.stderr
    document = json.loads(plain.stdout)
    assert document["schema"] == "cxr.baseline.evaluate"
    assert [kind["etiology"] for kind in document["per_etiology"]] == ["bacterial", "viral"]
    assert [point["split"] for point in document["operating_points"]] == ["validation", "test"]
    assert document["bundle_changed"] is False
    assert (trained / "bundle.json").read_bytes() == before
    assert (work / "runs" / "edge-evaluation" / "evaluation.html").is_file()

    dry = run_cxr("baseline", "evaluate", "runs/edge", "--sensitivity", "0.9", "--recalibrate", "--dry-run", cwd=work)
    assert dry.returncode == 0, dry.stderr
    assert "was left as it was" in dry.stderr
    assert (trained / "bundle.json").read_bytes() == before

    changed = run_cxr("baseline", "evaluate", "runs/edge", "--sensitivity", "0.9", "--json", cwd=work)
    document = json.loads(changed.stdout)
    assert document["bundle_changed"] is True
    assert "bundle.json was written anew" in changed.stderr
    threshold = read_bundle(trained).info.threshold
    assert threshold.chosen_by == "sensitivity of at least 90 %"
    assert threshold.sensitivity is not None
    assert threshold.sensitivity >= 0.9
    validation = document["operating_points"][0]
    assert validation["measures"]["sensitivity"]["value"] == pytest.approx(threshold.sensitivity)
    assert "at the threshold" in run_cxr("baseline", "evaluate", "runs/edge", "--quiet", cwd=work).stdout


@pytest.mark.slow
def test_three_classes_train_evaluate_and_compare(work: Path, run_cxr: RunCxr) -> None:
    arguments = ("--recipe", "edge", "--epochs", "1", "--task", "three-class", "--out", "runs/three", "--json")
    ran = run_cxr("baseline", "train", *arguments, cwd=work)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["classes"] == ["BACTERIAL", "NORMAL", "VIRAL"]
    judged = run_cxr("baseline", "evaluate", "runs/three", "--json", cwd=work)
    assert judged.returncode == 0, judged.stderr
    document = json.loads(judged.stdout)
    assert [report["label"] for report in document["per_class"]] == ["BACTERIAL", "NORMAL", "VIRAL"]
    assert "macro_auc" in document["metrics"]
    assert np.sum(document["confusion"]) == 15
    told = run_cxr("baseline", "evaluate", ".", "--quiet", "-m", "../../manifest.csv", cwd=work / "runs" / "three")
    assert "on test, VIRAL is positive" in told.stdout
    assert (work / "runs" / "three-evaluation" / "evaluation.html").is_file()
    shaken = run_cxr("baseline", "robustness", "runs/three", "--corruption", "clean", "--json", cwd=work)
    assert shaken.returncode == 0, shaken.stderr
    compared = run_cxr("compare", "runs/three", "--json", cwd=work)
    assert compared.returncode == 0, compared.stderr
    assert json.loads(compared.stdout)["classes"] == ["BACTERIAL", "NORMAL", "VIRAL"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("evaluate", "runs/edge", "--sensitivity", "2"), "it takes a share, more than 0 and at most 1"),
        (("evaluate", "runs/edge", "--split", "train"), "there is no split 'train' to judge on"),
        (("evaluate", "runs/edge", "--out", "runs/edge/report"), "is in a bundle"),
        (("robustness", "runs/edge", "--split", "train"), "there is no split 'train' to judge on"),
        (("crossval", "--folds", "1"), "there must be 2 to 100"),
        (("crossval", "--folds", "40"), "too few patients"),
        (("crossval", "--inner-validation", "0"), "must lie between 0 and 1"),
        (("crossval", "--recipe", "resnet"), "the recipes are"),
        (("crossval", "--task", "four-class"), "unknown task"),
        (("crossval", "--out", "runs/edge"), "is a bundle"),
        (("crossval", "--recipe", "mobilenet-v2", "--weights", "gone.h5"), "there is no weights file gone.h5"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_value_is_one_line_what_next_and_exit_code_2(
    work: Path, trained: Path, run_cxr: RunCxr, arguments: tuple[str, ...], words: str
) -> None:
    ran = run_cxr("baseline", *arguments, cwd=work)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_a_killed_cross_validation_goes_on_with_the_fold_it_was_at(work: Path, run_cxr: RunCxr) -> None:
    arguments = ("baseline", "crossval", "--recipe", "edge", "--epochs", "1", "--folds", "3", "--out", "runs/cv")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CXR_")}
    with subprocess.Popen(
        [sys.executable, "-m", "cxr", *arguments], cwd=work, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("fold 1 of 3:"):
                process.kill()
                break
    kept = read_bundle(work / "runs" / "cv" / "fold-1").hash
    assert not (work / "runs" / "cv" / "crossval.json").exists()
    ran = run_cxr(*arguments, "--json", cwd=work)
    assert ran.returncode == 0, ran.stderr
    assert "fold 1 of 3 (finished before)" in ran.stderr
    assert "fold 2 of 3:" in ran.stderr
    document = json.loads(ran.stdout)
    assert document["folds"][0]["bundle_hash"] == kept
    assert sum(fold["images"] for fold in document["folds"]) == 45
