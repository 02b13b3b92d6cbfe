"""A program with the AutoML stand-in's command line and output files, and no training: for tests of the emulator.

The budget chooses what it does: see BEHAVIOURS; any other budget ends well at once.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

BEHAVIOURS = {1001: "fail", 1002: "hang", 1003: "die-once", 1004: "slow", 1005: "incomplete", 1006: "always-die"}
BEHAVIOURS |= {1007: "not-a-number", 1008: "bad-slices"}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model-type", required=True)
    parser.add_argument("--budget-milli-node-hours", type=int, required=True)
    parser.add_argument("--epochs", type=int)
    arguments = parser.parse_args()
    behaviour = BEHAVIOURS.get(arguments.budget_milli_node_hours, "ok")
    items = [json.loads(line) for line in arguments.items.read_text().splitlines()]
    if behaviour == "fail":
        print("the images are too dark", file=sys.stderr)
        return 3
    if behaviour == "hang":
        time.sleep(600)
    if behaviour == "always-die" or (behaviour == "die-once" and arguments.output.parent.name == "attempt-1"):
        os.killpg(os.getpgid(0), signal.SIGKILL)
    if behaviour == "slow":
        time.sleep(2.0)
    _write(arguments, items, complete=behaviour != "incomplete")
    if behaviour == "not-a-number":
        metrics = json.loads((arguments.output / "evaluation.json").read_text())
        (arguments.output / "evaluation.json").write_text(json.dumps({**metrics, "auPrc": float("nan")}))
    if behaviour == "bad-slices":
        (arguments.output / "slices.json").write_text('[{"displayName": "NORMAL"}]')
    return 0


def _write(arguments: argparse.Namespace, items: list[dict[str, str]], *, complete: bool) -> None:
    output, labels = arguments.output, sorted({item["label"] for item in items})
    exported = {
        "tflite/model.tflite": "not a model",
        "edgetpu-tflite/edgetpu_model.tflite": "not a model",
        "tf-saved-model/saved_model.pb": "not a model",
        "tf-saved-model/variables/variables.index": "weights",
        "tf-js/model.json": "{}",
        "tf-js/dict.txt": "\n".join(labels),
        "tf-js/group1-shard1of1.bin": "weights",
    }
    kept = {"scoring/labels.json": json.dumps(labels)}
    for name, text in (kept if arguments.model_type.startswith("CLOUD") else exported).items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if complete:
        sets = {name: sum(item["ml_use"] == name for item in items) for name in ("training", "validation", "test")}
        metrics = {
            "auPrc": 0.9,
            "logLoss": 0.2,
            "confidenceMetrics": [{"recall": 1.0, "precision": 0.5}],
            "confusionMatrix": {
                "annotationSpecs": [{"id": str(i + 1), "displayName": label} for i, label in enumerate(labels)],
                "rows": [[sets["training"], sets["validation"]], [sets["test"], 0]],
            },
        }
        slices = [{"displayName": label, "metrics": {**metrics, "auRoc": 0.8}} for label in labels]
        (output / "slices.json").write_text(json.dumps(slices))
        (output / "evaluation.json").write_text(json.dumps(metrics))


if __name__ == "__main__":
    sys.exit(main())
