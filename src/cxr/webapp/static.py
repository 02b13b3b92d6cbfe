"""Where the built web files lie: `make web` makes them out of the TypeScript in `webapp/`, and the wheel carries them.

page/           the page: copied as it is into a page's folder
verify/         verify.html, a bare page for `cxr export verify` (its protocol stands in webapp/src/verify/verify.ts)
wasm/           the WebAssembly engine, a neighbour of both
verify-node.mjs scores pixels in Node (protocol: webapp/src/verify/verifyNode.ts)
build.json      every file with its size, plain and gzipped
"""

from __future__ import annotations

from pathlib import Path

from cxr.errors import UsageError

FOLDER = Path(__file__).parent / "static"
#: Written last but for a renaming: where it is, all is.
BUILD_FILE = "build.json"


def static_folder() -> Path:
    """The folder of the built web files. Raises UsageError when they are not built."""
    if not (FOLDER / BUILD_FILE).is_file():
        raise UsageError("the web files of this installation are not built", hint="in a checkout, run: make web")
    return FOLDER


def static_file(name: str) -> Path:
    """One of the built files, by its path below the folder. Raises UsageError when it is not there."""
    path = static_folder() / name
    if not path.exists():
        raise UsageError(f"the web files of this installation lack {name}", hint="in a checkout, run: make web")
    return path
