"""Checkpoints in a bucket or a folder: one object each, whole or absent, of one training only.

An object is a NumPy archive (.npz, no pickles; every member has a CRC) whose member `state` is JSON. Its name is the
training's fingerprint, the version of what it holds and how far it is, so that the newest is the last by name.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr.documents import parse_json
from cxr.errors import Fault, NotFound
from cxr.local_baseline.training.failures import only_said, words_of
from cxr.progress import Say
from cxr.storage import open_store

#: How many are kept: the newest, and the one before it in case the newest cannot be read.
KEPT = 2
#: Raised when what a checkpoint holds changes.
CHECKPOINT_VERSION = 1
STATE = "state"
#: Hex digits of the fingerprint in a name.
MARK_DIGITS = 16
NAME = re.compile(r"cxr-([0-9a-f]{16})-(?:v\d+-)?(\d{6})-(\d{8})\.npz")
#: What reading damaged bytes raises; RuntimeError is zipfile's for a flag that it does not know.
DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, RuntimeError)

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """`state` are plain JSON values, `arrays` named arrays."""

    state: Mapping[str, Any]
    arrays: Arrays


class Checkpoints:
    """The checkpoints of the training `fingerprint` at `url` (gs://, s3:// or a folder). `say` hears what a log should.

    A place that cannot be written, or a full temporary disk, does not end a training that costs money by the minute: it
    is said, and tried again at the next checkpoint.
    """

    def __init__(self, url: str, fingerprint: str, say: Say) -> None:
        self._store = open_store(url)
        self._fingerprint = fingerprint
        self._say = say
        self._damaged: set[str] = set()
        self._foreign: set[str] = set()

    def of(self, fingerprint: str) -> Checkpoints:
        """Those of another training at the same place."""
        return Checkpoints(self._store.url, fingerprint, self._say)

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint of this training, or None. Those of other trainings are left alone, and said.

        Raises Fault, and what a Store does, when one cannot be fetched or read for another reason than damage: to begin
        again would cost what it holds.
        """
        names = self._names()
        others = [name for name in names if not name.startswith(self._prefix)]
        if others:
            self._say(f"{len(others)} checkpoints at {self._store.url} are of another training or version: ignored")
        for name in sorted(set(names) - set(others), reverse=True):
            found = self._read(name)
            if found is not None:
                self._say(f"continuing from {self._store.url}/{name}")
                return found
        return None

    def keep(self, epochs: int, step: int, checkpoint: Checkpoint) -> None:
        """Write one that stands `step` steps into the epoch after `epochs` (of all stages), then drop the old ones and
        those that were found damaged."""
        name = f"{self._prefix}{epochs:06d}-{step:08d}.npz"
        with only_said(self._say, "no checkpoint was written"):
            with tempfile.TemporaryDirectory(prefix="cxr-checkpoint-") as work:
                path = Path(work) / name
                self._write(path, checkpoint)
                self._store.replace_file(name, path)
            with only_said(self._say, "old checkpoints were not removed"):
                self._prune(name)

    def epochs_kept(self) -> int:
        """How many epochs (of all stages) the newest checkpoint of this training holds, by its name; 0 without one."""
        found = [NAME.fullmatch(name) for name in self._names() if name.startswith(self._prefix)]
        return max((int(match[2]) for match in found if match is not None), default=0)

    @property
    def _prefix(self) -> str:
        return f"cxr-{self._fingerprint[:MARK_DIGITS]}-v{CHECKPOINT_VERSION}-"

    def _names(self) -> list[str]:
        return [info.name for info in self._store.list("cxr-") if NAME.fullmatch(info.name)]

    def _prune(self, written: str) -> None:
        """Leave `written` and, of the others that were not found damaged, the newest."""
        self._damaged.discard(written)
        self._foreign.discard(written)
        ours = sorted(name for name in self._names() if name.startswith(self._prefix) and name not in self._foreign)
        others = [name for name in ours if name != written]
        sound = [name for name in others if name not in self._damaged]
        for name in others:
            if name not in sound[-(KEPT - 1) :]:
                self._delete(name)

    def _write(self, path: Path, checkpoint: Checkpoint) -> None:
        state = {"version": CHECKPOINT_VERSION, "fingerprint": self._fingerprint, **checkpoint.state}
        text = np.frombuffer(json.dumps(state).encode(), np.uint8)
        members: dict[str, Any] = {STATE: text, **checkpoint.arrays}
        with path.open("wb") as stream:
            np.savez(stream, **members)

    def _read(self, name: str) -> Checkpoint | None:
        try:
            with tempfile.TemporaryDirectory(prefix="cxr-checkpoint-") as work:
                path = Path(work) / name
                self._store.get_file(name, path)
                data = path.read_bytes()
        except NotFound:
            return None
        except OSError as error:
            raise Fault(
                f"the checkpoint {self._store.url}/{name} cannot be read here: {words_of(error)}",
                hint="look at this machine's temporary folder, then start the job again",
            ) from error
        try:
            # From memory: zipfile seeks where a damaged directory says, which a file answers with an OSError.
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
            state = parse_json(arrays.pop(STATE).tobytes())
        except DAMAGE as error:
            self._say(f"the checkpoint {name} is not whole and is ignored: {error}")
            self._damaged.add(name)
            return None
        if state.get("version") != CHECKPOINT_VERSION or state.get("fingerprint") != self._fingerprint:
            self._say(f"the checkpoint {name} is of another training or version: ignored")
            self._foreign.add(name)
            return None
        return Checkpoint(state, arrays)

    def _delete(self, name: str) -> None:
        found = self._store.stat(name)
        if found is not None:
            self._store.delete(name, if_version=found.version)


def packed(group: str, arrays: list[npt.NDArray[Any]]) -> Arrays:
    """A list of arrays under names that `unpacked` finds again."""
    return {f"{group}/{number:04d}": array for number, array in enumerate(arrays)}


def unpacked(group: str, arrays: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """The list that was packed as `group`, in its order."""
    return [arrays[name] for name in sorted(arrays) if name.startswith(f"{group}/")]
