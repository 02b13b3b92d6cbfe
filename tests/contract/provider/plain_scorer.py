"""The emulator's tiny scorer without its faults: the bytes of a drawn image may happen to spell what they wait for."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "cloud" / "emulator"))

import tiny_scorer


def score(instance: dict[str, str], labels: list[str]) -> dict[str, Any]:
    """One label's score by how long the image is, the others share the rest."""
    data = base64.b64decode(instance["content"]) if "content" in instance else tiny_scorer._read(instance["uri"])
    share = len(data) % 100 / 100
    return {"scores": [(1 - share) / (len(labels) - 1)] * (len(labels) - 1) + [share]}


if __name__ == "__main__":
    tiny_scorer._score = score
    sys.exit(tiny_scorer.main())
