"""The benchmarks of `make bench`, in the order of the page. benchmarks/long is outside: hours, and real X-rays."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One script of this folder: what it measures and against whom (a sentence), and when it is ended."""

    script: str
    title: str
    about: str
    timeout_s: float = 600.0
    arguments: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What runs it by itself."""
        return " ".join(("python", f"benchmarks/{self.script}.py", *self.arguments))


SUITE = (
    Benchmark(
        "scan", "Scan of a folder",
        "`cxr data scan` over 2,000 full-size files against `sha256sum` and `djpeg` over the same files (the least "
        "that has to be done with them), and a second scan, with nothing changed, against the first.",
    ),
    Benchmark(
        "near_duplicates", "Near-duplicates",
        "How many changed copies of real X-rays are found, how many look-alikes are joined, and what the search costs. "
        "No peer: `imagehash` computes hashes, and leaves the search and the verdict to its user.",
        arguments=("--images", "100"),
    ),
    Benchmark(
        "million_rows", "A million rows",
        "Scan of a listing, split, check and import files for a million images, each step in a process of its own, "
        "against plain pandas that writes and reads a CSV file of the same rows.",
        timeout_s=900,
    ),
    Benchmark(
        "million_objects", "A million objects",
        "A bucket of a million objects on the emulator, whose bytes are made as they are read (a simulation, "
        "[docs/emulator.md](emulator.md#many-objects-that-nobody-sent)): listing by Google's SDK and by the store over "
        "it, an upload that finds nothing to do, and the import into a dataset; memory of client and server.",
        timeout_s=2400,
    ),
    Benchmark(
        "upload", "Uploads",
        "`cxr cloud upload`'s engine against Google's SDK, gcsfs, rclone and gcloud storage on one emulator, and "
        "against boto3 and s5cmd on moto's S3: every client in a process of its own, twice, the second time with "
        "nothing changed.",
        timeout_s=1500, arguments=("--files", "2000", "--objects", "10000,50000"),
    ),
    Benchmark(
        "input_pipeline", "Training input",
        "Batches as training gets them against the notebooks' `ImageDataGenerator.flow_from_directory`, over full-size "
        "files, in turn.",
    ),
    Benchmark(
        "training_speed", "Training",
        "The five-block net trained here against Keras's own `fit` on tensors in memory, and from files on against the "
        "notebook's own code.",
        timeout_s=900,
    ),
    Benchmark(
        "prediction_latency", "Prediction of one image",
        "One image through a bundle, as `cxr compare` scores it, against `model.predict` of the same model.",
    ),
    Benchmark(
        "export_latency", "Exported files",
        "One image through each exported file against the net as it was trained (`tf.function`, float32), the runtimes "
        "in turn in one process; weights drawn by chance, which do not change the speed.",
    ),
    Benchmark(
        "scoring_overhead", "Scoring",
        "What `cxr compare` adds to the models themselves (batches, predictor, kept chunks, predictions written) "
        "against the bare loop of each runtime on inputs that are ready.",
    ),
    Benchmark(
        "compare_statistics", "Statistics of a comparison",
        "All measures, differences and paired tests of three models with 2,000 resamples of patients against a loop "
        "that calls scikit-learn on resampled indices (fewer draws, extrapolated).",
        timeout_s=900,
    ),
    Benchmark(
        "interval_coverage", "How often intervals hold the truth",
        "Test sets drawn from a known population: the share of 95 % intervals that hold the truth, as they are shown "
        "against percentiles of the resamples alone.",
        timeout_s=900, arguments=("--rounds", "60"),
    ),
    Benchmark(
        "page", "The page in the browser",
        "The page of `cxr web build` against the same net in pages with `tf.min.js` and LiteRT.js, in a real headless "
        "Chromium, each visit in a new browser.",
        timeout_s=900, arguments=("--rounds", "3"),
    ),
    Benchmark(
        "scale", "Unit costs",
        "What one image costs at each step, on this machine: what [docs/scale.md](scale.md) computes with.",
    ),
)  # fmt: skip
