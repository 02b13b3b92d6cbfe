"""A process of its own for the tests of the cache: decodes a manifest's images at 24x24 grey, says so after each.

Arguments: the manifest, the cache's folder, and, if wanted, after how many images it stands still until it gets a line.
"""

from __future__ import annotations

import sys
import threading
from itertools import count
from pathlib import Path

from cxr.bundle import Preprocessing
from cxr.local_baseline.entry import run_process
from cxr.local_baseline.images import cache
from cxr.local_baseline.images.image_source import NamedImages, Source
from cxr.manifests.manifest_file import read_manifest


def main() -> None:
    """Prints a line for each image that it reads, then `done`."""
    manifest = read_manifest(Path(sys.argv[1]))
    contract = Preprocessing(24, 24, 1)
    stands_after = int(sys.argv[3]) if len(sys.argv) > 3 else None
    turn, begun = threading.Lock(), count()

    def read(name: str) -> bytes:
        with turn:  # who comes after the one that stands still does so too
            if next(begun) == stands_after:
                sys.stdin.readline()
        sys.stdout.write(f"{name}\n")  # at once: two threads read
        sys.stdout.flush()
        return (manifest.root / name).read_bytes()

    sources = [Source(*row) for row in manifest.frame[["path", "sha256"]].itertuples(index=False, name=None)]
    names = [source.name for source in sources]
    path = cache.cache_path(manifest, contract, Path(sys.argv[2]))
    cache.decoded_images(sources, lambda: NamedImages(names, read, 2), contract, path, lambda *heard: None)
    print("done", flush=True)


if __name__ == "__main__":
    run_process(main)
