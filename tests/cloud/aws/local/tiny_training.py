"""A training program that trains nothing: tests say in its hyperparameters what it is to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

BASE = Path(os.environ["SAGEMAKER_BASE_DIR"])


def main() -> int:
    config = BASE / "input" / "config"
    parameters = json.loads((config / "hyperparameters.json").read_text())
    resources = json.loads((config / "resourceconfig.json").read_text())
    what = parameters.get("what", "train")
    while "after" in parameters and not Path(parameters["after"]).exists():
        time.sleep(0.02)
    print("arguments", json.dumps(sys.argv[1:]))
    print("environment", json.dumps(dict(os.environ)))
    print("resources", json.dumps(resources))
    data = BASE / "input" / "data"
    print("files", json.dumps(sorted(path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file())))
    rate = float(parameters.get("rate", "0.5"))
    print(f"accuracy={rate / 2}", flush=True)
    print(f"accuracy={rate}", flush=True)
    if what == "fail":
        (BASE / "output" / "failure").write_text("the images are too dark")
        return 3
    if what == "fail-on-second-host" and resources["current_host"] == "algo-2":
        (BASE / "output" / "failure").write_text("the second host gave up")
        return 4
    (BASE / "model" / "half.txt").write_text("half")
    if what == "endless" or what == "fail-on-second-host":
        _wait()
    if what == "resume":
        _train_in_epochs()
    (BASE / "model" / resources["current_host"]).mkdir()
    (BASE / "model" / resources["current_host"] / "model.txt").write_text("a model")
    if what == "output":
        (BASE / "output" / "data" / "curve.json").write_text("[]")
    return 0


def _train_in_epochs() -> None:
    """Three epochs, each kept as a checkpoint; it begins where the checkpoints end."""
    checkpoints = BASE / "checkpoints"
    for epoch in range(3):
        if (checkpoints / f"epoch-{epoch}").exists():
            print(f"epoch {epoch} is there already", flush=True)
            continue
        (checkpoints / f"epoch-{epoch}").write_text("weights")
        print(f"epoch {epoch} trained", flush=True)
        if epoch == 1 and not (checkpoints / "interrupted").exists():
            (checkpoints / "interrupted").write_text("")
            _wait()


def _wait() -> None:
    """Wait, with a child, until SIGTERM ends it."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def end(number: int, frame: FrameType | None) -> None:
        print("asked to end", flush=True)
        (BASE / "model" / "saved.txt").write_text("saved")
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    print(f"waiting {os.getpid()} {child.pid}", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    sys.exit(main())
