"""The tables of docs/scale.md. Every cell says whether it was measured (m) or computed (c)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.words import number
from scale_page.costs import SIZES, Cost, Records, cost_each, cost_of, dollars, duration, search_cost, size

ABSENT = "not measured"
#: Bytes of an image, and of one line to the internet. Assumed.
IMAGE_BYTES, LINE_BITS = 200_000, 1e9
#: NVIDIA's data sheet of the L4: TF32 on tensor cores without sparsity; and which share small nets reach (assumed).
L4_FLOPS, REACHED = 60e12, 0.05
#: Images a GPU takes at a step; bits a second between machines. Assumed.
BATCH, BETWEEN_BITS = 256, 10e9
#: https://cloud.google.com/storage/pricing-examples: a thousand writes or pages of a listing, and a thousand reads.
WRITES_USD, READS_USD = 0.005, 0.0004
#: A GB (2^30 bytes) and month of Standard storage in us-central1.
STORAGE_USD = 0.020


@dataclass(frozen=True, slots=True)
class Machines:
    """So many L4s of Google: processors in all, and USD an hour (src/cxr/cloud/vertex/price_table.toml)."""

    gpus: int
    name: str
    processors: int
    usd_an_hour: float


MACHINES = (
    Machines(1, "g2-standard-8", 8, 0.9818),
    Machines(8, "g2-standard-96", 96, 9.2021),
    Machines(64, "8 x g2-standard-96", 768, 8 * 9.2021),
)


def steps(records: Records) -> str:
    """What each step takes at each size."""
    objects, rows = "million_objects", "million_rows"
    memory, peak = "client's peak memory", "peak memory"

    def many(script: str, name: str, remembered: str) -> Cost | None:
        return cost_of(records, script, name, "time", remembered)

    scored = records.value("scoring_overhead", "`flagship`, tflite", "time an image")
    line = f"{size(IMAGE_BYTES)} a file, line of 1 Gbit/s"
    lines: list[tuple[str, str, Cost | None]] = [
        ("scan of a folder, 224-pixel files", "threads of one process", _scan(records)),
        ("near-duplicates: the search", "one thread, all pairs", search_cost(records)),
        ("scan of a bucket's listing", "one process, pages of 1,000", many(objects, "`cxr data scan", memory)),
        ("split", "pandas in one process", many(rows, "split", peak)),
        ("check without images", "pandas in one process", many(rows, "check", peak)),
        ("import file (JSON lines)", "a stream, written and read back", many(rows, "import-jsonl", peak)),
        ("first upload", line, _upload(records)),
        ("upload, nothing to do", "a listing beside the manifest", many(objects, "`cxr cloud upload` again", memory)),
        ("shards", "threads of one process", cost_each(records.value("scale", "shards", "time an image"))),
        ("an epoch on this processor, `flagship`", "TensorFlow, all cores", _epoch(records)),
        ("scoring, `flagship` as TFLite", "LiteRT, one thread", cost_each(scored)),
        ("statistics, three models", "numpy, 2,000 resamples", many("compare_statistics", "1,000,000 images", peak)),
    ]
    table = [(what, engine, *_cells(cost)) for what, engine, cost in lines]
    imported = cost_of(records, objects, "`cxr cloud dataset`", "time", memory)
    emulator = [f"{cell} on the emulator" for cell in _cells(imported)[:2]] + ["refused: 1,000,000 at most"]
    table.insert(7, ("import into a dataset", "the service", *emulator))
    table.append(("report and page", "this process, samples only", *["as at 10,000"] * len(SIZES)))
    return _table(("step", "engine", *(f"{images:,} images" for images in SIZES)), table)


def unit_costs(records: Records) -> str:
    """What the other tables are computed with."""
    wanted = (
        ("scan of an image of 224 pixels, hashes and near-duplicates included", "scale", "scan", "time an image"),
        ("packing an image into a shard", "scale", "shards", "time an image"),
        ("row of a manifest on disk", "million_rows", "row of the manifest", "size"),
        ("split of a million rows", "million_rows", "split", "peak memory"),
        ("first upload at 200 KB and 50 ms", "upload", "200 KB, 50 ms: first upload", "speed"),
        ("listing a million objects by the store", "million_objects", "listing of", "time"),
        ("memory that the listing adds", "million_objects", "listing of", "peak memory beyond the imports"),
        ("training input from the cache", "input_pipeline", "cached epochs, ours without", "speed"),
        ("first epoch, decoding two megapixels", "input_pipeline", "first epoch", "speed"),
        ("training step of `flagship`", "scale", "training step of `flagship`", "time an image"),
        ("its arithmetic, forward", "scale", "training step of `flagship`", "arithmetic of an image, forward"),
        ("scoring by `flagship` as TFLite", "scoring_overhead", "`flagship`, tflite", "time an image"),
        ("statistics of a million images", "compare_statistics", "1,000,000 images", "peak memory"),
    )
    table = []
    for what, script, name, measure in wanted:
        result = records.result(script, name, measure)
        value = f"{number(result.value)} {result.unit} (m)" if result else ABSENT
        table.append((what, value, f"`{script}.py`"))
    search = search_cost(records)
    told = ABSENT
    if search:
        told = f"{duration(search.seconds)} at {search.images:,} (m), growing with the square (c)"
    table.insert(2, ("search of near-duplicates", told, "`scale.py`"))
    return _table(("what", "cost", "benchmark"), table)


def training(records: Records) -> str:
    """An epoch of the flagship by images and GPUs, and what limits it."""
    flop, decoded = _flop(records), _decoded_per_processor(records)
    parameters = records.value("scale", "training step of `flagship`", "trainable parameters")
    if flop is None or decoded is None or parameters is None:
        return ABSENT
    table = []
    for images in SIZES:
        for machines in MACHINES:
            seconds = images / training_rate(machines, flop, parameters)
            input_s = images / (decoded * machines.processors)
            limit = "decoding" if input_s > seconds else "arithmetic"
            whole = max(seconds, input_s)
            price = dollars(whole / 3600 * machines.usd_an_hour)
            table.append(
                (
                    f"{images:,}",
                    str(machines.gpus),
                    machines.name,
                    f"{duration(seconds)} (c)",
                    f"{duration(input_s)} (c)",
                    f"{duration(whole)} (c), by {limit}",
                    f"{price} (c)",
                )
            )
    head = ("images", "L4", "machines", "arithmetic", "decoding every epoch", "an epoch", "price of an epoch")
    return _table(head, table)


def training_rate(machines: Machines, flop: float, parameters: float) -> float:
    """Images a second of all GPUs: a step's arithmetic, and behind it the sum of the gradients (a ring of float32)
    where there are several machines."""
    step_s = BATCH * flop / (L4_FLOPS * REACHED)
    several = max(1, machines.gpus // 8)
    sum_s = 2 * (several - 1) / several * 32 * parameters / BETWEEN_BITS
    return machines.gpus * BATCH / (step_s + sum_s)


def prices(records: Records) -> str:
    """What the service charges for storing and asking."""
    del records
    lines: tuple[tuple[str, str, Callable[[int], float]], ...] = (
        ("kept for a month", f"{STORAGE_USD:g} USD a GB", lambda images: images * IMAGE_BYTES / 2**30 * STORAGE_USD),
        ("first upload: a write each", f"{WRITES_USD:g} USD a thousand", lambda images: images / 1e3 * WRITES_USD),
        ("a listing: pages of 1,000", f"{WRITES_USD:g} USD a thousand", lambda images: images / 1e6 * WRITES_USD),
        ("an epoch, image by image", f"{READS_USD:g} USD a thousand", lambda images: images / 1e3 * READS_USD),
        ("an epoch from shards of 100 MB", "the same", lambda images: images * IMAGE_BYTES / 1e8 / 1e3 * READS_USD),
    )
    table = [(what, price, *(f"{dollars(usd(images))} (c)" for images in SIZES)) for what, price, usd in lines]
    return _table(("what", "price", *(f"{images:,} images" for images in SIZES)), table)


def limits_in_numbers(records: Records) -> str:
    """What of this program stops at 10^8."""
    row = records.value("million_rows", "row of the manifest", "size")
    split = cost_of(records, "million_rows", "split", "time", "peak memory")
    compare = cost_of(records, "compare_statistics", "1,000,000 images", "time", "peak memory")
    search, scan, most = search_cost(records), _scan(records), SIZES[-1]
    table = (
        (
            "the search of near-duplicates: all pairs",
            search.cell(most) if search else ABSENT,
            "a few million images",
        ),
        ("the manifest: every command reads it whole", split.cell(most) if split else ABSENT, "some ten million rows"),
        ("the same on disk, CSV", f"{size(row * most)} (c)" if row else ABSENT, "the same"),
        ("the scan: one process", scan.cell(most) if scan else ABSENT, "what one machine reads in a night"),
        ("a dataset of the service", "refused (1,000,000 at most)", "1,000,000 images"),
        ("statistics in memory", compare.cell(most) if compare else ABSENT, "some ten million images"),
    )
    return _table(("what", f"at {most:,} images", "goes to about"), table)


def _scan(records: Records) -> Cost | None:
    return cost_each(records.value("scale", "scan", "time an image"))


def _upload(records: Records) -> Cost | None:
    rate = records.value("upload", "200 KB, 50 ms: first upload", "speed")
    return Cost(1, max(1 / rate, IMAGE_BYTES * 8 / LINE_BITS)) if rate else None


def _epoch(records: Records) -> Cost | None:
    return cost_each(records.value("scale", "training step of `flagship`", "time an image"))


def _flop(records: Records) -> float | None:
    """Forward and backward of one image."""
    forward = records.value("scale", "training step of `flagship`", "arithmetic of an image, forward")
    return None if forward is None else 3 * forward * 1e6


def _decoded_per_processor(records: Records) -> float | None:
    """Images of 224 pixels that one processor reads and decodes a second: no more than the scan does, which hashes,
    too."""
    record, milliseconds = records.by_script.get("scale"), records.value("scale", "scan", "time an image")
    if record is None or milliseconds is None:
        return None
    return 1e3 / milliseconds / int(record.machine["cores"])


def _cells(cost: Cost | None) -> list[str]:
    return [cost.cell(images) if cost else ABSENT for images in SIZES]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])
