"""Processes on this machine that train together: a chief and a worker, as Vertex AI's TF_CONFIG names them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def start(
    program: Path, *arguments: object, held: Sequence[socket.socket] = (), **environment: str
) -> subprocess.Popen[str]:
    """Run a program of the tests; it has the sockets `held` open, too."""
    clean = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    return subprocess.Popen(
        [sys.executable, str(program), *map(str, arguments)],
        env=clean | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=[each.fileno() for each in held],
    )


def start_machines(program: Path, chief: Sequence[object], worker: Sequence[object]) -> list[subprocess.Popen[str]]:
    """Both of a cluster, with their arguments."""
    places = [reserved_port(), reserved_port()]
    kinds = ("chief", "worker")
    cluster = {kind: [f"127.0.0.1:{place.getsockname()[1]}"] for kind, place in zip(kinds, places, strict=True)}
    processes = []
    for kind, arguments in zip(kinds, (chief, worker), strict=True):
        config = json.dumps({"cluster": cluster, "task": {"type": kind, "index": 0}, "environment": "cloud"})
        processes.append(start(program, *arguments, held=places, TF_CONFIG=config, TF_GRPC_REUSE_PORT="1"))
    for place in places:
        place.close()
    return processes


def reserved_port() -> socket.socket:
    """A port that nobody else is given while any process has the socket open; TensorFlow's server may listen there."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    place.bind(("127.0.0.1", 0))
    return place


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a program that ended well has printed."""
    out, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors
    result: dict[str, Any] = json.loads(out)
    return result
