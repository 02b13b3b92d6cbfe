"""One model scored in a process of its own: runtimes do not meet, and the peak memory is that runtime's."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Bundle, read_bundle
from cxr.compare.parity.nouns import Cost, Reading, Scores
from cxr.errors import CxrError, Fault, InputError, MissingPackage, UsageError

MODULE = "cxr.compare.parity.process"
WARM_UP_RUNS = 5
TIMED_RUNS = 60
BATCH_IMAGES = 32
SCORES_FILE, COST_FILE, ERROR_FILE = "scores.npy", "cost.json", "error.json"
#: As what the errors of the process are raised here, the first that fits; any other is the model's fault.
KINDS: Final = {kind.__name__: kind for kind in (MissingPackage, UsageError, InputError)}
#: What is asked: images as pixels or as files; and what is said of files beside their scores.
PIXELS_FILE, FILES_FILE, READ_FILE, UNREADABLE_FILE = "pixels.npy", "files.json", "read.npy", "unreadable.json"


def score_in_own_process(bundle: Bundle, pixels: NDArray[np.uint8]) -> Scores:
    """Probabilities of images uint8 [N, H, W, C] as the bundle's preprocessing makes them.

    Raises InputError when the model cannot be loaded or does not give probabilities, MissingPackage when its runtime is
    not installed, Fault when that crashes.
    """
    with _asked(bundle, lambda folder: np.save(folder / PIXELS_FILE, pixels)) as folder:
        return Scores(np.load(folder / SCORES_FILE), _cost(folder))


def read_in_own_process(bundle: Bundle, files: Sequence[Path]) -> Reading:
    """What a SavedModel that takes image files makes of them. Raises as `score_in_own_process` does."""
    paths = json.dumps([str(path.resolve()) for path in files])
    with _asked(bundle, lambda folder: (folder / FILES_FILE).write_text(paths, encoding="utf-8")) as folder:
        told = json.loads((folder / UNREADABLE_FILE).read_text(encoding="utf-8"))
        unreadable = {int(number): str(why) for number, why in told.items()}
        return Reading(np.load(folder / READ_FILE), np.load(folder / SCORES_FILE), unreadable, _cost(folder))


@contextmanager
def _asked(bundle: Bundle, ask: Callable[[Path], object]) -> Iterator[Path]:
    """The folder with the answer of a process that was asked there."""
    with tempfile.TemporaryDirectory(prefix="cxr-verify-") as name, tempfile.TemporaryFile() as said:
        folder = Path(name)
        ask(folder)
        command = [sys.executable, "-m", MODULE, str(bundle.folder.resolve()), str(folder)]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False)
        if (folder / ERROR_FILE).is_file():
            told = json.loads((folder / ERROR_FILE).read_text(encoding="utf-8"))
            raise KINDS[told["kind"]](told["message"], hint=told["hint"])
        if ended.returncode or not (folder / COST_FILE).is_file():
            said.seek(0)
            words = said.read().decode("utf-8", "replace").strip().splitlines() or [f"it ended with {ended.returncode}"]
            raise Fault(f"{bundle.folder} could not be run: {words[-1]}")
        yield folder


def _cost(folder: Path) -> Cost:
    return Cost(**json.loads((folder / COST_FILE).read_text(encoding="utf-8")))


def main(arguments: Sequence[str] | None = None) -> None:
    """BUNDLE FOLDER: what the process does."""
    place, name = arguments if arguments is not None else sys.argv[1:]
    folder = Path(name)
    try:
        bundle = read_bundle(Path(place), verify=False)
        answer = _answer(bundle, folder)
    except CxrError as error:
        kind = next((name for name, kind in KINDS.items() if isinstance(error, kind)), InputError.__name__)
        told = {"message": error.message, "hint": error.hint, "kind": kind}
        (folder / ERROR_FILE).write_text(json.dumps(told), encoding="utf-8")
        raise SystemExit(1) from error
    np.save(folder / SCORES_FILE, answer.probabilities)
    (folder / COST_FILE).write_text(json.dumps(asdict(answer.cost)), encoding="utf-8")


def _answer(bundle: Bundle, folder: Path) -> Scores | Reading:
    if not (folder / FILES_FILE).is_file():
        return score_pixels(bundle, np.load(folder / PIXELS_FILE))
    reading = read_files(bundle, [Path(path) for path in json.loads((folder / FILES_FILE).read_text(encoding="utf-8"))])
    np.save(folder / READ_FILE, reading.pixels)
    (folder / UNREADABLE_FILE).write_text(json.dumps(dict(reading.unreadable)), encoding="utf-8")
    return reading


def score_pixels(bundle: Bundle, pixels: NDArray[np.uint8], timed_runs: int = TIMED_RUNS) -> Scores:
    """What `score_in_own_process` does, in this process; its cost is that of `timed_runs` single predictions."""
    from cxr.compare.predictors import open_predictor

    predictor: Any = open_predictor(bundle)
    # A SavedModel that takes files has a signature for pixels beside.
    predict = getattr(predictor, "predict_pixels", predictor.predict)
    rows = [predict(pixels[at : at + BATCH_IMAGES]) for at in range(0, len(pixels), BATCH_IMAGES)]
    return Scores(np.concatenate(rows), _timed(predictor, predict, pixels, timed_runs))


def read_files(bundle: Bundle, paths: Sequence[Path], timed_runs: int = TIMED_RUNS) -> Reading:
    """What `read_in_own_process` does, in this process; its cost is that of `timed_runs` single predictions."""
    from cxr.compare.predictors import open_predictor

    predictor: Any = open_predictor(bundle)
    contract, classes = bundle.info.preprocessing, len(bundle.info.classes)
    pixels = np.zeros((len(paths), contract.height, contract.width, contract.channels), np.uint8)
    scores = np.zeros((len(paths), classes))
    unreadable: dict[int, str] = {}
    for number, path in enumerate(paths):
        data = path.read_bytes()
        try:
            pixels[number] = predictor.preprocess_file(data)
            scores[number] = predictor.predict_files([data])[0]
        except InputError as error:
            unreadable[number] = error.message
    some = [path.read_bytes() for number, path in enumerate(paths) if number not in unreadable][:timed_runs]
    return Reading(pixels, scores, unreadable, _timed(predictor, predictor.predict_files, some, timed_runs))


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


def _timed(predictor: Any, predict: Any, inputs: Any, runs: int) -> Cost:
    """The cost of single predictions, after a warm-up; nothing where there is no input."""
    singles = [inputs[at % len(inputs) : at % len(inputs) + 1] for at in range(runs)] if len(inputs) else []
    for single in singles[:WARM_UP_RUNS]:
        predict(single)
    elapsed = []
    for single in singles:
        start = time.perf_counter()
        predict(single)
        elapsed.append((time.perf_counter() - start) * 1_000)
    milliseconds = elapsed or [0.0]
    return Cost(float(np.median(milliseconds)), float(np.percentile(milliseconds, 95)), _peak_mb(predictor))


if __name__ == "__main__":
    main()
