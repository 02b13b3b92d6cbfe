"""What a training job leaves: its model, its other output and its checkpoints, from folders to S3."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cxr.cloud.aws.local.jobs.objects import InputObject, download, keys_below, split_uri, upload


def upload_tar(client: Any, folders: Sequence[Path], uri: str) -> bool:
    """The files of folders as one gzipped tar; False, and nothing, when there are none. Of two hosts' files with one
    path the first is taken. Names are relative, in order, and of no user."""
    files: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                files.setdefault(path.relative_to(folder).as_posix(), path)
    if not files:
        return False
    with tempfile.TemporaryDirectory(dir=folders[0].parent) as scratch:
        target = Path(scratch) / "artefact.tar.gz"
        with tarfile.open(target, "w:gz") as tar:
            for name in sorted(files):
                tar.add(files[name], arcname=name, filter=_anonymous)
        upload(client, target, uri)
    return True


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


class Checkpoints:
    """The checkpoints' folder of each host and its place in S3, which all hosts share; no place: nothing is kept."""

    def __init__(self, client: Any, uri: str | None, folders: Sequence[Path]) -> None:
        self._client = client
        self._uri = uri.rstrip("/") if uri else None
        self._folders = folders
        self._sent: dict[Path, tuple[int, int]] = {}

    def fetch(self) -> None:
        """What is in S3, to every host. Raises JobFailedError when the bucket is not there."""
        if self._uri is None:
            return
        bucket, prefix = split_uri(self._uri + "/")
        keys = keys_below(self._client, bucket, prefix)
        for folder in self._folders:
            download(self._client, [InputObject(bucket, key, key.removeprefix(prefix)) for key in keys], folder)
            for path in folder.rglob("*"):
                self._sent[path] = _version(path)

    def send(self) -> None:
        """What has changed since, to S3."""
        if self._uri is None:
            return
        for folder in self._folders:
            for path in sorted(folder.rglob("*")):
                try:
                    version = _version(path)
                    if path.is_file() and self._sent.get(path) != version:
                        upload(self._client, path, f"{self._uri}/{path.relative_to(folder).as_posix()}")
                        self._sent[path] = version
                except FileNotFoundError:
                    continue  # the program has renamed it meanwhile: the next round has it


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
