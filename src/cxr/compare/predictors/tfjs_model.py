"""Scores a TF.js graph model in Node, with the very script that the page runs in the browser (WebAssembly)."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from typing import Any

import numpy as np

from cxr.bundle import Bundle
from cxr.compare.predictors.base import Images, Probabilities, class_probabilities
from cxr.errors import InputError
from cxr.webapp.static import node_command


class TfjsPredictor:
    """A Node process that gets the pixels of one image after the other and answers with a line for each."""

    def __init__(self, bundle: Bundle, process: subprocess.Popen[bytes], said: Any) -> None:
        self._bundle = bundle
        self._process = process
        self._said = said
        self._line()  # the model is loaded

    @property
    def process_id(self) -> int:
        """Of Node."""
        return self._process.pid

    def predict(self, images: Images) -> Probabilities:
        """See Predictor."""
        rows = []
        for image in images:
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # what it has to say is on stderr
                self._process.stdin.write(np.ascontiguousarray(image, np.uint8).tobytes())
                self._process.stdin.flush()
            rows.append(self._line()["probabilities"])
        return class_probabilities(np.array(rows, dtype=np.float64), self._bundle)

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._said.seek(0)
            words = self._said.read().decode("utf-8", "replace").strip().splitlines() or ["Node ended"]
            raise InputError(f"cannot load the model {self._bundle.model_path} in Node: {words[-1]}")
        document: dict[str, Any] = json.loads(line)
        return document

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()
        self._said.close()

    def __del__(self) -> None:
        if self._process.poll() is None:
            self.close()


def open_model(bundle: Bundle) -> TfjsPredictor:
    """Start Node with the bundle's model. Raises MissingPackage without Node, InputError for a model that it cannot
    run."""
    contract = bundle.info.preprocessing
    shape = [str(size) for size in (contract.height, contract.width, contract.channels)]
    command = [*node_command("verify-node.mjs"), str(bundle.model_path.resolve()), "-", *shape]
    if not contract.scale_inside_model:
        command += ["--scale", repr(contract.scale), f"--offset={contract.offset!r}"]
    said = tempfile.TemporaryFile()  # noqa: SIM115 - the predictor closes it
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
    return TfjsPredictor(bundle, process, said)
