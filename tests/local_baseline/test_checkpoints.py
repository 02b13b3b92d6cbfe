"""Checkpoints in a folder: whole or not taken, a few kept, of one training only."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from cxr.errors import Fault
from cxr.local_baseline.training.checkpoints import KEPT, Checkpoint, Checkpoints, packed, unpacked

MARK, OTHER = "a" * 64, "b" * 64


def checkpoint(value: float) -> Checkpoint:
    return Checkpoint({"run": {"seconds": value}}, packed("best", [np.full((2, 3), value), np.array([1, 2])]))


def places(folder: Path, mark: str = MARK) -> tuple[Checkpoints, list[str]]:
    said: list[str] = []
    return Checkpoints(str(folder), mark, said.append), said


def newest_value(folder: Path, mark: str = MARK) -> float | None:
    found = places(folder, mark)[0].newest()
    return None if found is None else float(found.state["run"]["seconds"])


def test_what_is_kept_is_found_again_exactly(tmp_path: Path) -> None:
    kept, _ = places(tmp_path)
    assert kept.newest() is None
    kept.keep(1, 0, checkpoint(0.1))
    found, said = places(tmp_path)
    newest = found.newest()
    assert newest is not None
    assert newest.state["run"] == {"seconds": 0.1}
    arrays = unpacked("best", newest.arrays)
    assert [array.dtype for array in arrays] == [np.float64, np.int64]
    assert np.array_equal(arrays[0], np.full((2, 3), 0.1))
    assert said == [f"continuing from {tmp_path}/cxr-{'a' * 16}-v1-000001-00000000.npz"]


def test_the_newest_is_the_furthest_and_a_few_are_kept(tmp_path: Path) -> None:
    kept, _ = places(tmp_path)
    for epochs, step in ((9, 0), (9, 12), (10, 0), (10, 3)):
        kept.keep(epochs, step, checkpoint(epochs + step / 100))
    assert newest_value(tmp_path) == 10.03
    assert len(list(tmp_path.iterdir())) == KEPT


@pytest.mark.parametrize("damage", [0, 50, -200], ids=["empty", "beginning", "end cut off"])
def test_a_damaged_one_is_passed_over_for_the_one_before(tmp_path: Path, damage: int) -> None:
    kept, _ = places(tmp_path)
    kept.keep(1, 0, checkpoint(1))
    kept.keep(2, 0, checkpoint(2))
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:damage])
    found, said = places(tmp_path)
    state = found.newest()
    assert state is not None
    assert state.state["run"]["seconds"] == 1
    assert f"the checkpoint {newest.name} is not whole and is ignored" in said[0]


def test_a_flipped_byte_is_damage(tmp_path: Path) -> None:
    places(tmp_path)[0].keep(1, 0, checkpoint(0.5))
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    where = data.index(np.float64(0.5).tobytes())
    data[where] ^= 1
    path.write_bytes(data)
    assert newest_value(tmp_path) is None


def test_those_of_another_training_are_left_alone_and_said(tmp_path: Path) -> None:
    theirs, _ = places(tmp_path, OTHER)
    for epochs in (8, 9):
        theirs.keep(epochs, 0, checkpoint(epochs))
    ours, said = places(tmp_path)
    assert ours.newest() is None
    assert said == [f"2 checkpoints at {tmp_path} are of another training or version: ignored"]
    for epochs in (1, 2, 3):
        ours.keep(epochs, 0, checkpoint(epochs))
    assert (newest_value(tmp_path), newest_value(tmp_path, OTHER)) == (3, 9)


def test_a_training_whose_fingerprint_begins_the_same_is_another_one(tmp_path: Path) -> None:
    places(tmp_path)[0].keep(1, 0, checkpoint(1))
    assert newest_value(tmp_path, "a" * 63 + "c") is None


def test_a_place_that_cannot_be_written_is_said_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept, said = places(tmp_path / "file" / "folder")
    kept.keep(1, 0, checkpoint(1))
    assert len(said) == 1
    assert said[0].startswith("no checkpoint was written: ")


def test_a_new_one_stays_and_damaged_ones_that_are_further_go(tmp_path: Path) -> None:
    for epochs in (7, 8):
        places(tmp_path)[0].keep(epochs, 0, checkpoint(epochs))
    for path in tmp_path.iterdir():
        path.write_bytes(b"broken")
    kept, said = places(tmp_path)
    assert kept.newest() is None
    assert len(said) == 2
    for epochs in (1, 2):
        kept.keep(epochs, 0, checkpoint(epochs))
        assert newest_value(tmp_path) == epochs
    assert [path.name[-19:] for path in sorted(tmp_path.iterdir())] == ["000001-00000000.npz", "000002-00000000.npz"]


def test_one_that_nobody_looked_at_never_displaces_the_one_just_written(tmp_path: Path) -> None:
    for epochs in (7, 8):
        places(tmp_path)[0].keep(epochs, 0, checkpoint(epochs))
    places(tmp_path)[0].keep(1, 0, checkpoint(1))
    assert [path.name[-19:-13] for path in sorted(tmp_path.iterdir())] == ["000001", "000008"]


def test_those_of_another_version_are_left_alone_and_said(tmp_path: Path) -> None:
    others = [tmp_path / f"cxr-{'a' * 16}-{version}000009-00000000.npz" for version in ("", "v2-")]
    for path in others:
        path.write_bytes(b"of another program")
    kept, said = places(tmp_path)
    assert kept.newest() is None
    assert said == [f"2 checkpoints at {tmp_path} are of another training or version: ignored"]
    for epochs in (1, 2, 3):
        kept.keep(epochs, 0, checkpoint(epochs))
    assert newest_value(tmp_path) == 3
    assert all(path.exists() for path in others)


def test_no_byte_of_damage_is_taken_for_anything_else(tmp_path: Path) -> None:
    places(tmp_path)[0].keep(1, 0, Checkpoint({}, {}))
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for where in (*range(32), *range(len(whole) - 80, len(whole))):  # a member's header, and the directory
        path.write_bytes(whole[:where] + bytes([whole[where] ^ 0xFF]) + whole[where + 1 :])
        found = places(tmp_path)[0].newest()
        assert found is None or found.state["fingerprint"] == MARK


def test_a_temporary_disk_that_fails_is_said_in_writing_and_a_fault_in_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, said = places(tmp_path)
    kept.keep(1, 0, checkpoint(1))
    with monkeypatch.context() as here:
        here.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        kept.keep(2, 0, checkpoint(2))
        with pytest.raises(Fault, match="cannot be read here"):
            places(tmp_path)[0].newest()
    assert [line.partition(": ")[0] for line in said] == ["no checkpoint was written"]
    assert newest_value(tmp_path) == 1
