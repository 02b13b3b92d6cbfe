"""Uploads against peers: the SDK's upload_many, gcsfs, rclone, gcloud storage; for S3 boto3 and s5cmd.

Every client runs in a process of its own against a new emulator on loopback, without latency and with 50 ms on each
request: files a second, the client's CPU, its peak memory, requests and connections; then once more with nothing
changed. Then this project's client alone with 10,000 and 100,000 objects. S3 is served by moto, which is so slow that
it is mostly moto that is measured. Peers that are missing are installed into ~/.cache/cxr-benchmarks. Server and client
share this machine's cores: ratios say more than numbers. Nothing fails because of a time.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from harness.script import Script, run_script
from upload_peers.files import make_files
from upload_peers.goals import row_results, scale_results
from upload_peers.measure import Found, Row, Scale, find, measure_amazon, measure_google, measure_scale
from upload_peers.peers import Peer, amazon_peers, google_peers
from upload_peers.table import LEGEND, heading, line, scale_heading, scale_line

FILES, QUICK_FILES = 6000, 300
SIZES_KB = (200, 20)
LATENCIES_MS = (0, 50)
OBJECTS, QUICK_OBJECTS = (10_000, 100_000), (500, 5000)
#: moto takes 5 to 20 ms for each.
S3_FILES, S3_SIZE = 300, 20_000


def measure(script: Script) -> None:
    """Print a line of each client as it is measured, then the results, also of a run that was interrupted."""
    _complete(script.options)
    rows: list[Row] = []
    scales: list[Scale] = []
    try:
        with tempfile.TemporaryDirectory(prefix="cxr-upload-") as name:
            _measure(script, Path(name), rows, scales)
    finally:
        script.say(f"\n{LEGEND}")
        for result in (*row_results(rows), *scale_results(scales)):
            script.add(result)
        for row in rows:
            if row.note:
                script.say_absent(f"{row.client}, {row.size / 1000:g} KB at {row.latency_ms:g} ms", row.note)


def _measure(script: Script, folder: Path, rows: list[Row], scales: list[Scale]) -> None:
    def on_row(row: Row) -> None:
        rows.append(row)
        script.say(line(row))

    def on_scale(scale: Scale) -> None:
        scales.append(scale)
        script.say(scale_line(scale))

    options = script.options
    found = _found(script, google_peers())
    for size_kb in options.sizes if found else ():
        files = make_files(folder, options.files, int(size_kb * 1000))
        for latency in options.latencies:
            script.say(heading(f"{options.files:,} files of {size_kb:g} KB, {latency:g} ms latency"))
            measure_google(found, files, latency, folder, on_row)
        shutil.rmtree(files.folder)
    if found := _found(script, amazon_peers()):
        count = min(options.files, S3_FILES)
        files = make_files(folder, count, S3_SIZE)
        script.say(heading(f"{count:,} files of {S3_SIZE / 1000:g} KB to S3 (moto: mostly that is measured)"))
        measure_amazon(found, files, folder, on_row)
    if options.objects:
        script.say(scale_heading())
        measure_scale(options.objects, folder, on_scale)


def _found(script: Script, peers: Iterable[Peer]) -> list[Found]:
    only = script.options.only
    found, absent = find(peer for peer in peers if not only or peer.name in only)
    for client in found:
        name, _, number = client.version.rpartition(" ")
        script.versions[name.removesuffix(" SDK") or client.peer.name] = number.removeprefix("v")
    for name, reason in absent.items():
        script.say_absent(name, reason)
    return found


def _complete(options: argparse.Namespace) -> None:
    options.files = options.files or (QUICK_FILES if options.quick else FILES)
    if options.quick:
        options.files = min(options.files, QUICK_FILES)
    objects = options.objects or (QUICK_OBJECTS if options.quick else () if options.only else OBJECTS)
    options.objects = [int(number) for number in objects if number]


def _arguments(parser: argparse.ArgumentParser) -> None:
    names = [peer.name for peer in (*google_peers(), *amazon_peers())]
    parser.add_argument("--files", type=int, help=f"files of each upload ({FILES})")
    parser.add_argument("--sizes", type=_numbers, default=SIZES_KB, metavar="KB,…", help="sizes in KB (200,20)")
    parser.add_argument("--latencies", type=_numbers, default=LATENCIES_MS, metavar="MS,…", help="in ms (0,50)")
    parser.add_argument("--objects", type=_numbers, metavar="N,…", help="numbers of small objects; 0: not measured")
    parser.add_argument("--only", action="append", default=[], choices=names, help="this client (may be repeated)")


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


if __name__ == "__main__":
    run_script(measure, file=__file__, description=__doc__, arguments=_arguments)
