"""A bucket of the emulator with images that nobody has sent (docs/emulator.md)."""

from __future__ import annotations

import io
import json
import re
import urllib.request
from pathlib import Path
from typing import Any

from PIL import Image

PROJECT, BUCKET, REGION, PREFIX = "cxr-local", "many-objects", "us-central1", "xrays"
#: In one request to the emulator.
AT_ONCE = 100_000
#: Folders and names as in the Kermany release, and their share of all.
SHARES = (
    ("train/NORMAL/IM-{number}-0001.jpeg", 0.2),
    ("train/PNEUMONIA/person{number}_bacteria_1.jpeg", 0.5),
    ("validation/NORMAL/IM-{number}-0001.jpeg", 0.03),
    ("validation/PNEUMONIA/person{number}_virus_1.jpeg", 0.07),
    ("test/NORMAL/IM-{number}-0001.jpeg", 0.06),
    ("test/PNEUMONIA/person{number}_virus_1.jpeg", 0.14),
)


def fill(server: str, count: int) -> None:
    """Make the bucket and `count` images in it, no two of them alike."""
    _call("POST", f"{server}/storage/v1/b?project={PROJECT}", _json({"name": BUCKET, "location": REGION}))
    _call("POST", f"{server}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=like.jpeg", _picture(), "image/jpeg")
    first = 0
    for number, (name, share) in enumerate(SHARES):
        last = count if number == len(SHARES) - 1 else first + round(count * share)
        while first < last:
            made = min(AT_ONCE, last - first)
            wanted = {"bucket": BUCKET, "like": "like.jpeg", "name": f"{PREFIX}/images/{name}", "count": made}
            answer = _call("PUT", f"{server}/_emulator/ghosts", _json({**wanted, "first": first}))
            assert answer == {"made": made}, answer
            first += made


def peak_mb(state: Path) -> float:
    """Peak memory of the server that works on a state folder, in MB, since `forget_peak` (Linux)."""
    status = Path(f"/proc/{_pid(state)}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert found
    return int(found[1]) * 1024 / 1e6


def forget_peak(state: Path) -> None:
    """Begin anew with the peak (https://docs.kernel.org/filesystems/proc.html, clear_refs)."""
    Path(f"/proc/{_pid(state)}/clear_refs").write_text("5")


def dataset_items(server: str) -> int:
    """Images in the newest dataset."""
    listed = _call("GET", f"{server}/v1/projects/{PROJECT}/locations/{REGION}/datasets")
    return int(listed["datasets"][0].get("dataItemCount", 0))


def _pid(state: Path) -> int:
    return int(json.loads((state / "server.json").read_text())["pid"])


def _picture() -> bytes:
    stream = io.BytesIO()
    Image.linear_gradient("L").save(stream, "JPEG")
    return stream.getvalue()


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def _call(method: str, url: str, data: bytes | None = None, content_type: str = "application/json") -> Any:
    request = urllib.request.Request(url, data, {"Content-Type": content_type}, method=method)
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.loads(answer.read() or b"null")
