"""A process of its own for the test of `--deterministic`: trains cnn5 on a manifest, prints a digest of the weights.

Arguments: the manifest, a folder for the cache, a folder for the bundle.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from cxr.local_baseline.entry import run_process
from cxr.local_baseline.recipes.overrides import parse_overrides
from cxr.local_baseline.request import TrainRequest
from cxr.local_baseline.tensorflow_setup import load
from cxr.local_baseline.train import train
from cxr.manifests.manifest_file import read_manifest


def main() -> None:
    """Two epochs of three batches, with dropout and augmentation."""
    manifest, cache, output = (Path(name) for name in sys.argv[1:])
    request = TrainRequest(
        read_manifest(manifest),
        str(manifest.parent),
        "cnn5",
        output,
        cache,
        epochs=2,
        overrides=parse_overrides(["batch_size=8"]),
        deterministic=True,
    )
    bundle = train(request, lambda done, total, note: None)
    assert bundle.info.provenance["deterministic"]
    weights = load().keras.models.load_model(bundle.model_path).get_weights()
    print(hashlib.sha256(b"".join(values.tobytes() for values in weights)).hexdigest(), flush=True)


if __name__ == "__main__":
    run_process(main)
