"""One server for a file's tests: names keep them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from amazon_here import BUCKET, REGION, TINY, TINY_TRAINING, Amazon

from cxr.cloud.aws.local import process


def _started(state: Path, **options: object) -> Amazon:
    for package in ("moto", "flask", "flask_cors"):
        pytest.importorskip(package, reason=f"{package} is not installed: the extra aws-local has it")
    url = process.ensure_running(state, **{"idle_exit_seconds": 600, **TINY, **options})  # type: ignore[arg-type]
    server = Amazon(state, url)
    server.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    server.put("code/tiny_training.py", TINY_TRAINING.read_bytes())
    return server


@pytest.fixture(scope="module")
def amazon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Amazon]:
    """A server that runs two jobs at a time."""
    state = tmp_path_factory.mktemp("amazon")
    yield _started(state, max_running_jobs=2)
    process.stop(state)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Amazon]]:
    """A server of one's own, with options."""
    state = tmp_path / "amazon"
    yield lambda **options: _started(state, **options)
    process.stop(state)
