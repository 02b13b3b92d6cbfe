"""Scores images with a model of the stand-in, as a process: what the emulator runs for predictions of a cloud model.

One JSON object a line in, one a line out, in the same order: `{"uri": "gs://…"}` or `{"content": "<base64>"}` gives
`{"scores": [...]}`, one for each label in the model's order, or `{"error": "<words>"}`. In batch from a file to a
file, which appears when it is whole; with --serve from stdin to stdout, until stdin ends or nobody asks for a while.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import json
import os
import select
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from cxr.errors import CxrError, InputError, UsageError
from cxr.files import write_text_atomically
from cxr.local_baseline.entry import run_process
from cxr.local_baseline.images.image_source import BUCKET_WORKERS
from cxr.local_baseline.images.preprocess import Pixels, load_image
from cxr.local_baseline.recipes import EDGE
from cxr.local_baseline.tensorflow_setup import load
from cxr.storage import Store, open_store

MODEL_FILE = "model.tflite"
#: Images that are read ahead of the one that is scored.
CHUNK = 64

Scores = list[float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Score a file's lines, or serve."""
    parser = argparse.ArgumentParser(prog="python -m cxr.local_baseline.stand_in.scoring", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder with model.tflite")
    parser.add_argument("--instances", type=Path, help="file to read")
    parser.add_argument("--scores", type=Path, help="file to write")
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--idle-exit-seconds", type=float)
    given = parser.parse_args(arguments)
    if given.serve == bool(given.instances and given.scores):
        raise UsageError("either --serve, or --instances and --scores")
    score = open_scorer(given.model / MODEL_FILE)
    if given.serve:
        serve(score, given.idle_exit_seconds)
    else:
        lines = given.instances.read_text(encoding="utf-8").splitlines()
        write_text_atomically(given.scores, "".join(line + "\n" for line in score_lines(score, lines)))


def open_scorer(path: Path) -> Callable[[Pixels], Scores]:
    """A function from pixels uint8 [H, W, C] to the scores of the labels. Raises InputError when there is no model."""
    if not path.is_file():
        raise InputError(f"there is no model {path}")
    interpreter = _interpreter(path)
    interpreter.allocate_tensors()
    given, scores = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def score(pixels: Pixels) -> Scores:
        interpreter.set_tensor(given["index"], pixels[np.newaxis].astype(np.float32))
        interpreter.invoke()
        return [float(value) for value in interpreter.get_tensor(scores["index"])[0]]

    return score


def serve(score: Callable[[Pixels], Scores], idle_exit_seconds: float | None) -> None:
    """Answer each line of stdin on stdout."""
    reader = _Reader()
    for line in _stdin(idle_exit_seconds):
        print(_answer(score, reader.pixels(line)), flush=True)


def score_lines(score: Callable[[Pixels], Scores], lines: Sequence[str]) -> Iterator[str]:
    """The answers to many lines; images are read and decoded ahead of the one that is scored."""
    reader = _Reader()
    with ThreadPoolExecutor(BUCKET_WORKERS, thread_name_prefix="read") as pool:
        for start in range(0, len(lines), CHUNK):
            for found in pool.map(reader.pixels, lines[start : start + CHUNK]):
                yield _answer(score, found)


def _answer(score: Callable[[Pixels], Scores], found: Pixels | CxrError) -> str:
    answer: dict[str, Any] = {"error": found.message} if isinstance(found, CxrError) else {"scores": score(found)}
    return json.dumps(answer)


class _Reader:
    """Pixels of instances; one store for each bucket."""

    def __init__(self) -> None:
        self._stores: dict[str, Store] = {}

    def pixels(self, line: str) -> Pixels | CxrError:
        """An instance's image as the model wants it, or why there is none."""
        try:
            instance = json.loads(line)
            if "uri" in instance:
                name = str(instance["uri"])
                return load_image(self._read(name), EDGE.preprocessing, name=name)
            return load_image(base64.b64decode(instance["content"], validate=True), EDGE.preprocessing)
        except (ValueError, KeyError, TypeError) as error:
            return InputError(f"not an instance: {error}")
        except CxrError as error:
            return error

    def _read(self, uri: str) -> bytes:
        _, _, bucket, name = uri.split("/", 3)
        if bucket not in self._stores:
            self._stores[bucket] = open_store(f"gs://{bucket}", workers=BUCKET_WORKERS)
        return self._stores[bucket].get_bytes(name)


def _interpreter(path: Path) -> Any:
    try:
        module = importlib.import_module("ai_edge_litert.interpreter")
    except ImportError:  # TensorFlow has the same interpreter, and takes seconds to load
        module = load().tf.lite
    return module.Interpreter(str(path))


def _stdin(idle_exit_seconds: float | None) -> Iterator[str]:
    """The lines of stdin until its end, or until none has come for so long."""
    kept = b""
    while select.select([0], [], [], idle_exit_seconds)[0]:
        piece = os.read(0, 1 << 20)
        if not piece:
            return
        *lines, kept = (kept + piece).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in lines)


if __name__ == "__main__":
    run_process(main)
