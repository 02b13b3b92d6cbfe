"""A small page in a folder, as `cxr web build` lays it out."""

from __future__ import annotations

import json
from pathlib import Path

PAGE = {
    "schema_version": 1,
    "name": "tiny",
    "classes": ["NORMAL", "PNEUMONIA"],
    "positive_class": "PNEUMONIA",
    "model": {"path": "assets/model-5d0c1f2a/", "bytes": 4096, "has_maps": False},
    "known": {"path": "assets/known-3e7a9b10.bin", "prefix_bytes": 8, "count": 3},
    "metrics": None,
}
FILES: dict[str, bytes] = {
    "index.html": b"<!doctype html><title>tiny</title>" * 20,
    "page.json": json.dumps(PAGE).encode(),
    "assets/known-3e7a9b10.bin": bytes(range(24)),
    "app.webmanifest": b'{"name": "tiny"}' * 9,
    "icon.svg": b"<svg/>" * 30,
    "assets/main-0a1b2c.js": b"export const a = 1;\n" * 200,
    "assets/style-9f.css": b"body { margin: 0 }\n" * 40,
    "assets/tfjs-77.wasm": b"\0asm" + bytes(range(256)),
    "assets/model-5d0c1f2a/model.json": b'{"format": "graph-model"}' * 10,
    "assets/model-5d0c1f2a/group1-shard1of1.bin": bytes(range(256)) * 16,
}


def make_page(folder: Path, **changes: bytes | None) -> Path:
    """Write a page; `changes` are files that differ from FILES, None: one that is left out."""
    files = {name: data for name, data in {**FILES, **changes}.items() if data is not None}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    kept = {"version": "0123456789abcdef", "files": sorted(files)}
    (folder / "service-worker.js").write_text(f"self.CXR_KEPT={json.dumps(kept)};\nself.x = 1;\n" + "// \n" * 50)
    return folder
