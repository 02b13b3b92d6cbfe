"""The stand-in for AutoML as a real process, and its numbers against scikit-learn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, log_loss, precision_score, recall_score

from cxr.errors import InputError
from cxr.local_baseline.edge_evaluation import evaluation
from cxr.local_baseline.edge_items import read_items
from cxr.local_baseline.exports.tflite_metadata import read_labels
from cxr.manifests.manifest import Manifest

ML_USES = {"train": "training", "validation": "validation", "test": "test"}


def write_items(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def items_of(manifest: Manifest) -> list[dict[str, str]]:
    return [
        {"uri": str(manifest.root / row.path), "label": row.label, "ml_use": ML_USES[row.split]}
        for row in manifest.frame.itertuples()
    ]


def run_stand_in(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cxr.local_baseline.edge_stand_in", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_stand_in_leaves_what_the_service_would_export(small_manifest: Manifest, tmp_path: Path) -> None:
    items = write_items(tmp_path / "items.jsonl", items_of(small_manifest))
    output = tmp_path / "output"
    ran = run_stand_in(
        *("--items", items, "--output", output, "--model-type", "MOBILE_TF_VERSATILE_1"),
        *("--budget-milli-node-hours", 1000, "--epochs", 2),
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    made = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert made == {
        "evaluation.json",
        "progress.json",
        "tf-js/dict.txt",
        "tf-js/group1-shard1of1.bin",
        "tf-js/model.json",
        "tflite/model.tflite",
    }
    assert json.loads((output / "progress.json").read_text()) == {"epoch": 2, "epochs": 2}
    assert (output / "tf-js" / "dict.txt").read_text() == "NORMAL\nPNEUMONIA\n"
    assert read_labels((output / "tflite" / "model.tflite").read_bytes()) == ["NORMAL", "PNEUMONIA"]
    graph = json.loads((output / "tf-js" / "model.json").read_text())
    assert graph["userDefinedMetadata"]["stand_in"] is True
    sizes = [size["size"] for size in graph["signature"]["inputs"]["image"]["tensorShape"]["dim"]]
    assert sizes == ["1", "224", "224", "3"]
    metrics = json.loads((output / "evaluation.json").read_text())
    assert np.sum(metrics["confusionMatrix"]["rows"]) == 8  # the test images


def test_a_missing_image_ends_with_one_line(small_manifest: Manifest, tmp_path: Path) -> None:
    rows = items_of(small_manifest)
    rows[3]["uri"] += ".gone"
    items = write_items(tmp_path / "items.jsonl", rows)
    ran = run_stand_in("--items", items, "--output", tmp_path / "output", "--budget-milli-node-hours", 1000)
    assert ran.returncode == 2
    assert len(ran.stderr.splitlines()) == 1
    assert ".gone" in ran.stderr
    assert not list((tmp_path / "output").rglob("*.npy"))


def test_the_evaluation_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 200)
    raw = rng.random((200, 3)) + np.eye(3)[truth]
    scores = np.round(raw / raw.sum(axis=1, keepdims=True), 2)
    scores[:, 2] = 1 - scores[:, 0] - scores[:, 1]
    metrics = evaluation(scores, truth, ["a", "b", "c"])
    pairs = np.eye(3)[truth].ravel()
    assert metrics["auPrc"] == pytest.approx(average_precision_score(pairs, scores.ravel()))
    assert metrics["logLoss"] == pytest.approx(log_loss(truth, scores), rel=1e-6)
    assert metrics["confusionMatrix"]["rows"] == confusion_matrix(truth, scores.argmax(axis=1)).tolist()
    first, *others = metrics["confidenceMetrics"]
    assert first == {"recall": 1.0, "precision": pytest.approx(1 / 3)}
    for entry in others:
        claimed = scores.ravel() >= entry["confidenceThreshold"]
        assert entry["recall"] == pytest.approx(recall_score(pairs, claimed))
        assert entry["precision"] == pytest.approx(precision_score(pairs, claimed, zero_division=1.0))


def test_items_without_a_split_are_left_out_and_validation_comes_from_training(tmp_path: Path) -> None:
    rows = [
        {"uri": f"gs://b/{label}/{number}.jpeg", "label": label, "ml_use": "training"}
        for label in ("A", "B")
        for number in range(60)
    ]
    rows.append({"uri": "gs://b/unused.jpeg", "label": "A", "ml_use": ""})
    items = read_items(write_items(tmp_path / "items.jsonl", rows))
    assert len(items) == 120
    validation = [item for item in items if item.ml_use == "validation"]
    assert 3 < len(validation) < 30
    assert read_items(tmp_path / "items.jsonl") == items


@pytest.mark.parametrize("line", ["not json", '{"uri": "gs://b/a"}', "[1]"], ids=["text", "no label", "list"])
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"uri": "gs://b/a", "label": "A", "ml_use": "test"}\n' + line + "\n")
    with pytest.raises(InputError, match="line 2"):
        read_items(path)


def test_one_label_is_refused(tmp_path: Path) -> None:
    rows = [{"uri": f"gs://b/{number}", "label": "A", "ml_use": "training"} for number in range(50)]
    with pytest.raises(InputError, match="two are needed"):
        read_items(write_items(tmp_path / "items.jsonl", rows))
