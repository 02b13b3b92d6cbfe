"""The stand-in for AutoML as a real process, and its numbers against scikit-learn."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from google.protobuf import json_format
from label_file import read_labels
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from cxr.errors import InputError
from cxr.local_baseline.images.preprocess import load_image
from cxr.local_baseline.recipes import EDGE
from cxr.local_baseline.stand_in.evaluation import evaluation, slices
from cxr.local_baseline.stand_in.items import read_items
from cxr.local_baseline.tensorflow_setup import load
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
    command = [sys.executable, "-m", "cxr.local_baseline.stand_in.training", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


@pytest.mark.slow
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
        "edgetpu-tflite/edgetpu_model.tflite",
        "evaluation.json",
        "progress.json",
        "slices.json",
        "tf-js/dict.txt",
        "tf-js/group1-shard1of1.bin",
        "tf-js/model.json",
        "tf-saved-model/fingerprint.pb",
        "tf-saved-model/saved_model.pb",
        "tf-saved-model/variables/variables.data-00000-of-00001",
        "tf-saved-model/variables/variables.index",
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
    slices = json.loads((output / "slices.json").read_text())
    assert [part["displayName"] for part in slices] == ["NORMAL", "PNEUMONIA"]
    image = small_manifest.root / "test" / "PNEUMONIA" / "PNEUMONIA-0.jpeg"
    assert_alike(scores_of_every_format(output, image))


def scores_of_every_format(output: Path, image: Path) -> dict[str, np.ndarray]:
    """What each exported model says of one file: float [labels]."""
    tf = load().tf
    pixels = load_image(image, EDGE.preprocessing)
    served = tf.saved_model.load(str(output / "tf-saved-model")).signatures["serving_default"]
    said = served(image_bytes=tf.constant([image.read_bytes()]), key=tf.constant(["it"]))
    assert (said["key"].numpy().tolist(), said["labels"].numpy().tolist()) == ([b"it"], [[b"NORMAL", b"PNEUMONIA"]])
    scores = {"tf-saved-model": said["scores"].numpy()[0]}
    scores["tf-js"] = run_graph_model(output / "tf-js", pixels[None] / np.float32(127.5) - np.float32(1))
    for name in ("tflite/model.tflite", "edgetpu-tflite/edgetpu_model.tflite"):
        interpreter = Interpreter(str(output / name))
        interpreter.allocate_tensors()
        given, found = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        assert (given["dtype"], found["dtype"], given["shape"].tolist()) == (np.uint8, np.uint8, [1, 224, 224, 3])
        interpreter.set_tensor(given["index"], pixels[None])
        interpreter.invoke()
        scale, zero = found["quantization"]
        scores[name] = (interpreter.get_tensor(found["index"])[0].astype(np.float64) - zero) * scale
    return scores


def assert_alike(scores: dict[str, np.ndarray]) -> None:
    """The float formats to rounding, those in 8 bits to their grain."""
    expected = scores["tf-saved-model"]
    assert expected.sum() == pytest.approx(1, abs=1e-5)
    for name, found in scores.items():
        assert np.abs(found - expected).max() < (0.06 if "tflite" in name else 1e-4), name


def run_graph_model(folder: Path, image: np.ndarray) -> np.ndarray:
    """A TF.js graph model in TensorFlow: its constants put back from the shards."""
    tf = load().tf
    document = json.loads((folder / "model.json").read_text())
    graph = json_format.ParseDict(document["modelTopology"], tf.compat.v1.GraphDef())
    nodes = {node.name: node for node in graph.node}
    for node in graph.node:
        if node.op == "FusedDepthwiseConv2dNative":  # TensorFlow has it under another name
            node.op = "_FusedDepthwiseConv2dNative"
    (group,) = document["weightsManifest"]
    data, place = b"".join((folder / name).read_bytes() for name in group["paths"]), 0
    for weight in group["weights"]:
        count = int(np.prod(weight["shape"]))
        value = np.frombuffer(data, weight["dtype"], count, place).reshape(weight["shape"])
        place += value.nbytes
        nodes[weight["name"]].attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    with tf.Graph().as_default() as restored:
        tf.import_graph_def(graph, name="")
        with tf.compat.v1.Session(graph=restored) as session:
            return np.asarray(session.run("scores:0", {"image:0": image.astype(np.float32)})[0])


def test_a_missing_image_ends_with_one_line(small_manifest: Manifest, tmp_path: Path) -> None:
    rows = items_of(small_manifest)
    rows[3]["uri"] += ".gone"
    items = write_items(tmp_path / "items.jsonl", rows)
    ran = run_stand_in("--items", items, "--output", tmp_path / "output", "--budget-milli-node-hours", 1000)
    assert ran.returncode == 2
    assert len(ran.stderr.splitlines()) == 1
    assert ".gone" in ran.stderr
    assert not list((tmp_path / "output").rglob("*.npy"))


def some_scores() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [200, 3] with ties, and the true classes [200]."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 200)
    raw = rng.random((200, 3)) + np.eye(3)[truth]
    scores = np.round(raw / raw.sum(axis=1, keepdims=True), 2)
    scores[:, 2] = 1 - scores[:, 0] - scores[:, 1]
    return scores, truth


def test_the_slices_are_scikit_learns() -> None:
    scores, truth = some_scores()
    said = scores.argmax(axis=1)
    found = slices(scores, truth, ["a", "b", "c"])
    assert [part["displayName"] for part in found] == ["a", "b", "c"]
    for label, part in enumerate(found):
        of_label, metrics = truth == label, part["metrics"]
        assert metrics["auPrc"] == pytest.approx(average_precision_score(of_label, scores[:, label]))
        assert metrics["auRoc"] == pytest.approx(roc_auc_score(of_label, scores[:, label]))
        assert "confidenceThreshold" not in metrics["confidenceMetrics"][0]
        claimed = scores[:, label] >= metrics["confidenceMetrics"][8]["confidenceThreshold"]
        assert metrics["confidenceMetrics"][8]["recall"] == pytest.approx(recall_score(of_label, claimed))
        about = of_label | (said == label)
        expected = confusion_matrix(truth[about], said[about], labels=[0, 1, 2])
        assert metrics["confusionMatrix"]["rows"] == expected.tolist()


def test_the_evaluation_is_scikit_learns() -> None:
    scores, truth = some_scores()
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


@pytest.mark.slow
def test_a_cloud_model_is_kept_for_the_scorer_and_not_exported(small_manifest: Manifest, tmp_path: Path) -> None:
    items = write_items(tmp_path / "items.jsonl", items_of(small_manifest))
    output = tmp_path / "output"
    ran = run_stand_in(
        *("--items", items, "--output", output, "--model-type", "CLOUD", "--budget-milli-node-hours", 8000),
        *("--epochs", 1),
    )
    assert ran.returncode == 0, ran.stderr
    made = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert made == {"evaluation.json", "progress.json", "scoring/model.tflite", "slices.json"}
    image = (small_manifest.root / "test" / "PNEUMONIA" / "PNEUMONIA-0.jpeg").read_bytes()
    lines = [json.dumps({"content": base64.b64encode(data).decode()}) for data in (image, b"no image")]
    command = [
        sys.executable,
        "-m",
        "cxr.local_baseline.stand_in.scoring",
        "--model",
        str(output / "scoring"),
        "--serve",
    ]
    said = subprocess.run(
        command, input="\n".join([*lines, ""]), capture_output=True, text=True, timeout=500, check=True
    )
    scored, failed = map(json.loads, said.stdout.splitlines())
    assert sum(scored["scores"]) == pytest.approx(1, abs=1e-5)
    assert "image" in failed["error"]
