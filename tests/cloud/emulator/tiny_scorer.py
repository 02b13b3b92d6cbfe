"""A program with the scorer's command line and lines, and no model: for tests of the emulator.

An image's score of the last label is the share of bytes in it that are `#`; one that holds `broken` cannot be read, one
that holds `die` ends the program, one whose name holds `hang` lets it hang (before it asks the server for anything).
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--instances", type=Path)
    parser.add_argument("--scores", type=Path)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--idle-exit-seconds", type=float)
    arguments = parser.parse_args()
    labels = json.loads((arguments.model / "labels.json").read_text())
    if arguments.serve:
        for line in sys.stdin:
            print(json.dumps(_score(json.loads(line), labels)), flush=True)
        return 0
    answers = [_score(json.loads(line), labels) for line in arguments.instances.read_text().splitlines()]
    arguments.scores.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    return 0


def _score(instance: dict[str, str], labels: list[str]) -> dict[str, Any]:
    if "hang" in instance.get("uri", ""):
        time.sleep(600)
    data = base64.b64decode(instance["content"]) if "content" in instance else _read(instance["uri"])
    if b"die" in data:
        print("the scorer has died", file=sys.stderr)
        sys.exit(3)
    if b"broken" in data:
        return {"error": "the image cannot be decoded"}
    share = data.count(b"#") / len(data)
    return {"scores": [(1 - share) / (len(labels) - 1)] * (len(labels) - 1) + [share]}


def _read(uri: str) -> bytes:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    path = f"/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}?alt=media"
    with urllib.request.urlopen(os.environ["STORAGE_EMULATOR_HOST"] + path) as response:
        return bytes(response.read())


if __name__ == "__main__":
    sys.exit(main())
