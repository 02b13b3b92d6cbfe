"""A folder appears whole or not at all."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from cxr.bundle import BUNDLE_FILE
from cxr.errors import NotAllowed, UsageError
from cxr.folders import replaced_folder


def test_the_folder_takes_its_name_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "runs" / "one"
    with replaced_folder(target) as part:
        (part / BUNDLE_FILE).write_text("{}")
        assert not target.exists()
    assert (target / BUNDLE_FILE).read_text() == "{}"
    assert [path.name for path in target.parent.iterdir()] == ["one"]


def test_a_failure_keeps_the_old_bundle_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "one"
    target.mkdir()
    (target / BUNDLE_FILE).write_text("old")
    with pytest.raises(ZeroDivisionError), replaced_folder(target) as part:
        (part / BUNDLE_FILE).write_text(str(1 / 0))
    assert (target / BUNDLE_FILE).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_what_a_killed_process_left_is_removed_but_not_a_living_ones(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    dead, living = (tmp_path / f".one.{socket.gethostname()}.{process}.part" for process in (child, os.getppid()))
    dead.mkdir()
    living.mkdir()
    with replaced_folder(tmp_path / "one"):
        assert not dead.exists()
    assert living.exists()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a file")
    with pytest.raises(UsageError, match="is a file"), replaced_folder(tmp_path / "one"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(NotAllowed, match="no permission"), replaced_folder(tmp_path / "one"):
        pass
