"""TensorBoard's file: a disk or a place that fails is said, and the next epochs are written."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from cxr.local_baseline.training.epochs import EpochResult
from cxr.local_baseline.training.tensorboard import TensorBoardLog


def result(number: int) -> EpochResult:
    return EpochResult("whole", number, 9, 1.0, 0.5, 0.5, 0.5, 1e-3)


def test_a_temporary_disk_that_fails_is_said_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    log = TensorBoardLog(str(tmp_path / "logs"), said.append)
    with monkeypatch.context() as here:
        here.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        log.on_epoch(1, result(1))
    assert [line.partition(": ")[0] for line in said] == ["TensorBoard's file was not sent"]
    log.on_epoch(2, result(2))
    assert len(said) == 1
    assert len(list((tmp_path / "logs").iterdir())) == 1


def test_a_place_that_fails_is_said_and_ends_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "file").write_text("")
    TensorBoardLog(str(tmp_path / "file" / "logs"), said.append).on_epoch(1, result(1))
    assert [line.partition(": ")[0] for line in said] == ["TensorBoard's file was not sent"]
