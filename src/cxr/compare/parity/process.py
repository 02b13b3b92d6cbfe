"""One model scored in a process of its own: runtimes do not meet, and the peak memory is that runtime's."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Bundle, ModelFormat, read_bundle
from cxr.compare.parity.nouns import Cost, Probabilities, Scores
from cxr.errors import CxrError, Fault, InputError, UsageError

MODULE = "cxr.compare.parity.process"
WARM_UP_RUNS = 5
TIMED_RUNS = 60
BATCH_IMAGES = 32
SCORES_FILE, COST_FILE, ERROR_FILE = "scores.npy", "cost.json", "error.json"


def score_in_own_process(bundle: Bundle, pixels: NDArray[np.uint8], files: Sequence[Path]) -> Scores:
    """Probabilities of images: uint8 [N, H, W, C] as the bundle's preprocessing makes them, or the `files` of the same
    images for a model that decodes by itself.

    Raises InputError when the model cannot be loaded or does not give probabilities, UsageError when its runtime is not
    installed, Fault when that crashes.
    """
    with tempfile.TemporaryDirectory(prefix="cxr-verify-") as name, tempfile.TemporaryFile() as said:
        folder = Path(name)
        np.save(folder / "pixels.npy", pixels)
        (folder / "files.json").write_text(json.dumps([str(path.resolve()) for path in files]), encoding="utf-8")
        command = [sys.executable, "-m", MODULE, str(bundle.folder.resolve()), str(folder)]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False)
        if (folder / ERROR_FILE).is_file():
            told = json.loads((folder / ERROR_FILE).read_text(encoding="utf-8"))
            kind = UsageError if told["usage"] else InputError
            raise kind(told["message"], hint=told["hint"])
        if ended.returncode or not (folder / COST_FILE).is_file():
            said.seek(0)
            words = said.read().decode("utf-8", "replace").strip().splitlines() or [f"it ended with {ended.returncode}"]
            raise Fault(f"{bundle.folder} could not be run: {words[-1]}")
        cost = Cost(**json.loads((folder / COST_FILE).read_text(encoding="utf-8")))
        return Scores(np.load(folder / SCORES_FILE), cost)


def main(arguments: Sequence[str] | None = None) -> None:
    """BUNDLE FOLDER: what the process does."""
    place, name = arguments if arguments is not None else sys.argv[1:]
    folder = Path(name)
    try:
        bundle = read_bundle(Path(place), verify=False)
        scores, cost = _run(bundle, np.load(folder / "pixels.npy"), folder)
    except CxrError as error:
        told = {"message": error.message, "hint": error.hint, "usage": isinstance(error, UsageError)}
        (folder / ERROR_FILE).write_text(json.dumps(told), encoding="utf-8")
        raise SystemExit(1) from error
    np.save(folder / SCORES_FILE, scores)
    (folder / COST_FILE).write_text(json.dumps(asdict(cost)), encoding="utf-8")


def _run(bundle: Bundle, pixels: NDArray[np.uint8], folder: Path) -> tuple[Probabilities, Cost]:
    from cxr.compare.predictors import open_predictor

    predictor = open_predictor(bundle)
    files = [Path(path) for path in json.loads((folder / "files.json").read_text(encoding="utf-8"))]
    inputs: Any = [path.read_bytes() for path in files] if decodes(bundle) and files else pixels
    predict = predictor.predict_files if decodes(bundle) and files else predictor.predict  # type: ignore[attr-defined]
    rows = [predict(inputs[at : at + BATCH_IMAGES]) for at in range(0, len(inputs), BATCH_IMAGES)]
    milliseconds = _timed(predict, inputs)
    cost = Cost(float(np.median(milliseconds)), float(np.percentile(milliseconds, 95)), _peak_mb(predictor))
    return np.concatenate(rows), cost


def _peak_mb(predictor: Any) -> float:
    """Peak resident memory of the process that runs the model: this one, or the one that the predictor keeps."""
    try:
        # Not ru_maxrss: on Linux that begins with what the parent had.
        status = Path(f"/proc/{getattr(predictor, 'process_id', 'self')}/status").read_text(encoding="utf-8")
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024
    except (OSError, ValueError):
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # bytes there, kilobytes elsewhere
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def decodes(bundle: Bundle) -> bool:
    """Whether the model may take image files as they are."""
    return bundle.info.format is ModelFormat.SAVED_MODEL


def _timed(predict: Any, inputs: Any) -> NDArray[np.float64]:
    """Milliseconds of single predictions, after a warm-up."""
    singles = [inputs[at % len(inputs) : at % len(inputs) + 1] for at in range(TIMED_RUNS)]
    for single in singles[:WARM_UP_RUNS]:
        predict(single)
    elapsed = []
    for single in singles:
        start = time.perf_counter()
        predict(single)
        elapsed.append((time.perf_counter() - start) * 1_000)
    return np.array(elapsed)


if __name__ == "__main__":
    main()
