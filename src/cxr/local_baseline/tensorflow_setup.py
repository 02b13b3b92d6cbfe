"""TensorFlow and Keras, loaded in one place: quiet, on all cores, Keras on the TensorFlow backend.

Loading takes about three seconds and half a gigabyte, so nothing in cxr imports TensorFlow before a model is built or
scored.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cxr.errors import missing_package

#: Names the cluster of a training with several machines.
CLUSTER_VARIABLE = "TF_CONFIG"
#: Only errors: TensorFlow's start-up notes about CPU features and missing GPUs are no news to a user.
LOG_LEVEL = "3"
#: What TensorFlow writes to stderr while it loads, before it reads LOG_LEVEL: the notice and its info and warning
#: lines.
STARTUP_NOISE = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog|[IW]\d{4} |To enable the following)"
)


@dataclass(frozen=True, slots=True)
class Framework:
    """The two modules (Any: neither carries types)."""

    tf: Any
    keras: Any


@lru_cache(maxsize=1)
def load() -> Framework:
    """Import TensorFlow and Keras once. Raises MissingPackage when they are not installed.

    The environment is set before the import, because both read it only then. oneDNN stays on (twice the speed here).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", LOG_LEVEL)
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with without_lines(STARTUP_NOISE):
        try:
            tf = importlib.import_module("tensorflow")
            keras = importlib.import_module("keras")
        except ImportError as error:
            raise missing_package(error.name or "tensorflow", "train") from error
        _use_all_cores(tf)
        if not os.environ.get(CLUSTER_VARIABLE):  # a cluster can only be joined before the first operation
            tf.constant(0)  # it starts the runtime, which has notes of its own
    tf.get_logger().setLevel("ERROR")
    return Framework(tf, keras)


def make_deterministic() -> None:
    """From here on the same seed gives the same bits, on a machine with as many cores: every operation adds up in one
    order, at some cost in speed. Cannot be undone in this process."""
    load().tf.config.experimental.enable_op_determinism()


def versions() -> dict[str, str]:
    """Versions of what a trained model depends on."""
    framework = load()
    return {"tensorflow": str(framework.tf.__version__), "keras": str(framework.keras.__version__)}


def cpu_count() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def without_lines(noise: re.Pattern[bytes]) -> Iterator[None]:
    """Hold back what the block writes to the process's stderr (C++ included), then pass on every line but the
    `noise`."""
    try:
        stderr = os.dup(2)
    except OSError:  # no stderr at all: nothing to keep clean
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            kept = b"".join(line for line in held if not noise.match(line))
            if kept.strip():
                os.write(2, kept)


def _use_all_cores(tf: Any) -> None:
    try:
        tf.config.threading.set_intra_op_parallelism_threads(cpu_count())
        tf.config.threading.set_inter_op_parallelism_threads(cpu_count())
    except RuntimeError:
        # The host program has already run an operation: its own choice stands.
        return
