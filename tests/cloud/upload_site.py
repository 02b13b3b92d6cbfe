"""A working folder with images, their manifest and an emulator that can be told what to do wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import requests
from interruptible import CXR
from PIL import Image

from cxr.cloud.emulator.process import ensure_running, stop

BUCKET, PREFIX = "cxr-local", "cxr/images/"
ODD_NAMES = ("with space.png", "a#b.png", "50%20.png", "what?.png", "Röntgen ü.png", "plus+and&.png", "胸部.png")


@dataclass
class Site:
    """`images` are the files by their path in the manifest; commands run in `folder`."""

    folder: Path
    url: str

    @property
    def images(self) -> dict[str, Path]:
        root = self.folder / "images"
        return {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}

    def environment(self) -> dict[str, str]:
        return {key: value for key, value in os.environ.items() if not key.startswith("CXR_")}

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """`cxr cloud …` in a session of its own, where Ctrl-C is not ignored."""
        return subprocess.Popen(
            [*CXR, "cloud", *arguments],
            cwd=self.folder,
            env=self.environment() | options.pop("env", {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )

    def cxr(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`cxr cloud …`, to its end."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def upload(self, *arguments: str, **options: Any) -> dict[str, Any]:
        """An upload that must succeed; its JSON summary."""
        done = self.cxr("upload", "--yes", "--json", *arguments, **options)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    @contextmanager
    def faults(self, *rules: dict[str, Any], latency_ms: float = 0) -> Iterator[None]:
        """Rules that hold inside the block."""
        answer = requests.put(
            f"{self.url}/_emulator/faults", json={"latency_ms": latency_ms, "rules": list(rules)}, timeout=120
        )
        assert answer.status_code == 200, answer.text
        try:
            yield
        finally:
            requests.delete(f"{self.url}/_emulator/faults", timeout=120)

    def fired(self) -> list[int]:
        """How often each rule has."""
        return [rule["fired"] for rule in requests.get(f"{self.url}/_emulator/faults", timeout=120).json()["rules"]]

    def requests(self) -> dict[str, int]:
        """How many requests there were, by operation, since this was asked last."""
        counts: dict[str, int] = requests.get(f"{self.url}/_emulator/requests", timeout=120).json()
        requests.delete(f"{self.url}/_emulator/requests", timeout=120)
        return counts

    def received(self) -> int:
        """Bytes that have come in since the counts were asked for last."""
        return int(requests.get(f"{self.url}/_emulator/requests", timeout=120).json()["bytes_received"])

    def objects(self) -> dict[str, str]:
        """The md5 (hex) of every object below images/, by its path there."""
        found: dict[str, str] = {}
        token = ""
        while True:
            page = requests.get(
                f"{self.url}/storage/v1/b/{BUCKET}/o",
                params={"prefix": PREFIX, "pageToken": token},
                timeout=120,
            ).json()
            for item in page.get("items", []):
                found[item["name"].removeprefix(PREFIX)] = base64.b64decode(item["md5Hash"]).hex()
            token = page.get("nextPageToken", "")
            if not token:
                return found

    def put(self, path: str, data: bytes) -> None:
        """Somebody else's object in the place of an image."""
        name = quote(PREFIX + path, safe="")
        url = f"{self.url}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={name}"
        assert requests.post(url, data=data, timeout=120).status_code == 200

    def clear(self) -> None:
        """An empty bucket, no remembered sessions."""
        requests.delete(f"{self.url}/_emulator/faults", timeout=120)
        answer = requests.get(f"{self.url}/storage/v1/b/{BUCKET}/o", params={"maxResults": 1000}, timeout=120)
        for item in answer.json().get("items", []):
            url = f"{self.url}/storage/v1/b/{BUCKET}/o/{quote(item['name'], safe='')}"
            assert requests.delete(url, timeout=120).status_code == 204
        for record in (self.folder / ".cxr" / "uploads").glob("*"):
            record.unlink()

    def is_whole(self) -> bool:
        """Whether every image is there, byte for byte, and nothing else."""
        return self.objects() == {
            path: hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
            for path, file in self.images.items()
        }


@contextmanager
def make_site(folder: Path, *, small: int = 60, large: int = 1) -> Iterator[Site]:
    """Small images, some with odd names, and `large` ones of about 9 MB; scanned, split, and an emulator running."""
    rng = np.random.default_rng(1)
    for number in range(small):
        label = "NORMAL" if number % 2 else "PNEUMONIA"
        name = ODD_NAMES[number] if number < len(ODD_NAMES) else f"patient{number:03d}.png"
        _write(folder / "images" / label / name, rng.integers(0, 255, (24, 24 + number), dtype=np.uint8))
    for number in range(large):
        _write(folder / "images" / "NORMAL" / f"large{number}.png", rng.integers(0, 255, (3000, 3200), dtype=np.uint8))
    command = [sys.executable, "-m", "cxr", "data"]
    for arguments in (["scan", "images", "--patient-key", "folder"], ["split"]):
        done = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    url = ensure_running(folder / ".cxr" / "emulator")
    try:
        yield Site(folder, url)
    finally:
        stop(folder / ".cxr" / "emulator")


def _write(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
