"""A converter in a process of its own: what it says, and what it changes in its process, stays there."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from cxr.bundle import Bundle, read_bundle
from cxr.errors import Fault
from cxr.local_baseline.entry import run_process
from cxr.local_baseline.exports.nouns import Format
from cxr.local_baseline.exports.registry import FORMATS
from cxr.local_baseline.exports.source import Source

MODULE = "cxr.local_baseline.exports.process"


def export_in_own_process(bundle: Bundle, form: Format, path: Path) -> None:
    """Write a bundle's model in one format to `path`. Raises Fault with the process's last words when it fails."""
    command = [sys.executable, "-m", MODULE, str(bundle.folder.resolve()), form.name, str(path.resolve())]
    with tempfile.TemporaryFile() as said:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False)
        said.seek(0)
        words = said.read().decode("utf-8", "replace").strip()
    if os.environ.get("CXR_DEBUG") == "1" and words:
        print(words, file=sys.stderr)
    if ended.returncode or not path.exists():
        last = words.splitlines()[-1] if words else f"it ended with {ended.returncode}"
        raise Fault(f"the converter to {form.name} failed: {last}", hint="CXR_DEBUG=1 shows more")


def main(arguments: Sequence[str] | None = None) -> None:
    """BUNDLE FORMAT PATH: what the process does."""
    folder, name, path = arguments if arguments is not None else sys.argv[1:]
    form = FORMATS[name]
    shipment = Source(read_bundle(Path(folder), verify=False)).shipment(form)
    import_module(form.exporter).export(shipment, Path(path))


if __name__ == "__main__":
    run_process(main)
