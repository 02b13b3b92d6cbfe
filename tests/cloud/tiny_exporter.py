"""A program with the AutoML stand-in's command line that trains nothing and exports real, tiny models.

The budget (milli node hours) chooses what is wrong with them: see FAULTS; any other budget makes good ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from tiny_models import tfjs, tflite

FAULTS = {1101: "lost weights", 1102: "other labels", 1103: "no model", 1104: "disagreement", 1105: "other input"}
LOGITS = (0.0, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model-type", required=True)
    parser.add_argument("--budget-milli-node-hours", type=int, required=True)
    given = parser.parse_args()
    labels = sorted({json.loads(line)["label"] for line in given.items.read_text().splitlines()})
    fault = FAULTS.get(given.budget_milli_node_hours, "")
    if given.model_type.startswith("CLOUD"):
        _write(given.output / "scoring" / "labels.json", json.dumps(labels).encode())
    else:
        _export(given.output, labels, fault)
    _evaluate(given.output, labels)


def _export(output: Path, labels: list[str], fault: str) -> None:
    logits = [-LOGITS[1], LOGITS[0]] if fault == "disagreement" else list(LOGITS)
    _write(output / "tflite" / "model.tflite", b"garbage" if fault == "no model" else tflite(labels, LOGITS))
    _write(output / "edgetpu-tflite" / "edgetpu_model.tflite", tflite(labels, logits[:: -1 if fault else 1]))
    _write(output / "tf-saved-model" / "saved_model.pb", b"not read by these tests")
    tfjs(
        output / "tf-js",
        labels[::-1] if fault == "other labels" else labels,
        side=299 if fault == "other input" else 224,
        lost_bytes=4 if fault == "lost weights" else 0,
    )


def _evaluate(output: Path, labels: list[str]) -> None:
    metrics = {
        "auPrc": 0.91,
        "logLoss": 0.25,
        "confidenceMetrics": [
            {"recall": 1.0, "precision": 0.5},
            {"confidenceThreshold": 0.5, "recall": 0.8, "precision": 0.9},
            {"confidenceThreshold": 0.9, "recall": 0.3},
        ],
        "confusionMatrix": {
            "annotationSpecs": [{"id": str(i + 1), "displayName": label} for i, label in enumerate(labels)],
            "rows": [[7, 1], [2, 6]],
        },
    }
    slices = [{"displayName": label, "metrics": {**metrics, "auRoc": 0.85}} for label in labels]
    _write(output / "slices.json", json.dumps(slices).encode())
    _write(output / "evaluation.json", json.dumps(metrics).encode())


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


if __name__ == "__main__":
    main()
