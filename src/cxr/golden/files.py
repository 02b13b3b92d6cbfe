"""Where the golden images lie. `tests/webapp/draw_golden.py` drew them; they are not made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "images"


def golden_images() -> tuple[Path, ...]:
    """All golden files, by name."""
    return tuple(sorted(path for path in FOLDER.iterdir() if not path.name.startswith(".")))
