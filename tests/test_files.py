"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cxr.errors import CxrError, Fault
from cxr.files import atomic_path, sha256_of_file, unwritable, write_text_atomically


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_a_fault_with_the_path(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(Fault, match="No space left"), atomic_path(tmp_path / "x") as temporary:
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        temporary.write_text("some bytes")
    assert not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CxrError, match="cannot write"):
        write_text_atomically(tmp_path / "file" / "x", "text")


def test_permissions_are_those_of_a_plain_write(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_text_atomically(tmp_path / "atomic", "")
    assert os.stat(tmp_path / "atomic").st_mode == os.stat(tmp_path / "plain").st_mode  # noqa: PTH116


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    # FIPS 180-2, appendix B.1
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_full_disk_says_where_to_make_room(tmp_path: Path) -> None:
    error = unwritable(tmp_path / "not" / "yet" / "there", OSError(errno.ENOSPC, "No space left on device"))
    assert (error.exit_code, error.hint) == (1, f"make room on the disk of {tmp_path}, then run the same command again")


def test_a_read_only_disk_is_not_allowed(tmp_path: Path) -> None:
    error = unwritable(tmp_path / "x", OSError(errno.EROFS, "Read-only file system"))
    assert (error.exit_code, "Read-only" in error.message, bool(error.hint)) == (3, True, True)
