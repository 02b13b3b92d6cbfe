"""Which HTTP headers the page is served with, wherever it is: one table, read by the server here, by what hosts it
elsewhere, and by the build of the page's scripts (which puts the policy into index.html, for hosts that set no header).

The policy lets the page load its own files and compile WebAssembly, nothing else: no other host, no inline script or
style, no eval, no frame around it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

INDEX = "index.html"
#: Endings of files that gzip makes smaller. Weights of 16 bits still shrink by some percent.
COMPRESSED = {".html", ".css", ".js", ".json", ".webmanifest", ".wasm", ".svg", ".bin"}
#: Names change with their content: kept for a year. All others are asked for again each time.
HASHED = "assets/"
FOREVER, ASK_AGAIN = "public, max-age=31536000, immutable", "no-cache"


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(Path(__file__).with_name("headers.json").read_text(encoding="utf-8"))
    return table


def content_security_policy() -> str:
    """The policy as a header's value. `frame-ancestors` works in a header only."""
    table = _table()
    directives = {**table["content_security_policy"], **table["only_as_header"]}
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in directives.items())


def content_type(path: str) -> str:
    """The media type of a file of the page, by its ending."""
    kinds: dict[str, str] = _table()["content_types"]
    return kinds.get(PurePosixPath(path).suffix, "application/octet-stream")


def cache_control(path: str) -> str:
    """How long a browser may keep a file of the page (a path within it)."""
    return FOREVER if path.startswith(HASHED) else ASK_AGAIN


def headers_for(path: str) -> dict[str, str]:
    """All headers of one file (a path within the page, POSIX)."""
    return {
        "Content-Type": content_type(path),
        "Cache-Control": cache_control(path),
        "Content-Security-Policy": content_security_policy(),
        **_table()["headers"],
    }
