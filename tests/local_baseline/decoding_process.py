"""A process of its own for the tests of the cache: decodes a manifest's images at 24x24 grey, says so after each.

Arguments: the manifest, the cache's folder, and seconds to wait before each image (a slow disk).
"""

from __future__ import annotations

import sys
import time
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

    def read(name: str) -> bytes:
        time.sleep(float(sys.argv[3]))
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
