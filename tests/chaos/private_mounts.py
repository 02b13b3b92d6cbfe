"""Disks of a test's own: small ones that fill up, folders that turn read-only. Linux only, no rights needed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


class PrivateMounts:
    """Mounts that only the processes started with `prefix` see, in a user and mount namespace that a waiting process
    holds open."""

    def __init__(self) -> None:
        if shutil.which("unshare") is None or shutil.which("nsenter") is None:
            pytest.skip("disks of its own need Linux's unshare and nsenter")
        self._holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            self.close()
            pytest.skip("no namespaces are permitted here")
        self.prefix = ("nsenter", "--user", "--mount", "--preserve-credentials", f"--target={self._holder.pid}", "--")

    def close(self) -> None:
        """Let the namespace go; its mounts go with its last process."""
        self._holder.communicate()

    def small_disk(self, folder: Path, kib: int) -> None:
        """Mount an empty file system of that size at `folder`."""
        folder.mkdir(exist_ok=True)
        self._do("mount", "-t", "tmpfs", "-o", f"size={kib}k", "small", str(folder))

    def resize(self, folder: Path, kib: int) -> None:
        """Make a small disk larger, or smaller down to what is on it."""
        self._do("mount", "-o", f"remount,size={kib}k", str(folder))

    def read_only(self, folder: Path) -> None:
        """Let nobody write below `folder` any more."""
        self._do("mount", "--bind", str(folder), str(folder))
        self._do("mount", "-o", "remount,ro,bind", str(folder))

    def writable_again(self, folder: Path) -> None:
        """Undo `read_only`."""
        self._do("umount", str(folder))

    def seen(self, path: Path) -> Path:
        """The path by which this process sees what the others see at `path`."""
        return Path(f"/proc/{self._holder.pid}/root{path}")

    def _do(self, *command: str) -> None:
        done = subprocess.run([*self.prefix, *command], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"not permitted here: {' '.join(command)}: {done.stderr.strip()}")
