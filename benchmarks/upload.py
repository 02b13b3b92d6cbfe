"""Uploads against peers: the SDK's upload_many, gcsfs, rclone, gcloud storage; for S3 boto3 and s5cmd.

Every client runs in a process of its own against a new emulator on loopback, without latency and with 50 ms on each
request: files a second, the client's CPU, its peak memory, requests and connections; then once more with nothing
changed. Then this project's client alone with 10,000 and 100,000 objects. S3 is served by moto, which is so slow that
it is mostly moto that is measured. Peers that are missing are installed into ~/.cache/cxr-benchmarks. Server and client
share this machine's cores: ratios say more than numbers. Nothing fails because of a time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterable
from pathlib import Path

from upload_peers.files import make_files
from upload_peers.goals import goals
from upload_peers.measure import Found, Row, Scale, as_json, find, measure_amazon, measure_google, measure_scale
from upload_peers.peers import Peer, amazon_peers, google_peers
from upload_peers.table import LEGEND, heading, line, scale_heading, scale_line

FILES, QUICK_FILES = 6000, 300
SIZES_KB = (200, 20)
LATENCIES_MS = (0, 50)
OBJECTS, QUICK_OBJECTS = (10_000, 100_000), (500, 5000)
#: moto takes 5 to 20 ms for each.
S3_FILES, S3_SIZE = 300, 20_000


def main() -> None:
    """Measure and print."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _options()
    rows: list[Row] = []
    scales: list[Scale] = []
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="cxr-upload-") as name:
        try:
            _measure(options, Path(name), rows, scales)
        except KeyboardInterrupt:
            interrupted = True
            print("\ninterrupted: what was measured until then")
    print(f"\n{LEGEND}")
    for text in goals(rows, scales):
        print(text)
    if options.json:
        options.json.write_text(json.dumps(as_json(rows, scales), indent=1))
    if interrupted:
        raise SystemExit(130)


def _measure(options: argparse.Namespace, folder: Path, rows: list[Row], scales: list[Scale]) -> None:
    def on_row(row: Row) -> None:
        rows.append(row)
        print(line(row), flush=True)

    def on_scale(scale: Scale) -> None:
        scales.append(scale)
        print(scale_line(scale), flush=True)

    print(f"{os.cpu_count()} cores, load before: {os.getloadavg()[0]:.1f}")
    found, absent = _found(google_peers(), options.only)
    for size_kb in options.sizes if found or absent else ():
        files = make_files(folder, options.files, int(size_kb * 1000))
        for latency in options.latencies:
            print(heading(f"{options.files:,} files of {size_kb:g} KB, {latency:g} ms latency"), flush=True)
            measure_google(found, files, latency, folder, on_row)
            _tell_absent(absent)
        shutil.rmtree(files.folder)
    found, absent = _found(amazon_peers(), options.only)
    if found or absent:
        count = min(options.files, S3_FILES)
        files = make_files(folder, count, S3_SIZE)
        print(heading(f"{count:,} files of {S3_SIZE / 1000:g} KB to S3 (moto: mostly that is measured)"), flush=True)
        measure_amazon(found, files, folder, on_row)
        _tell_absent(absent)
    if options.objects:
        print(scale_heading(), flush=True)
        measure_scale(options.objects, folder, on_scale)


def _found(peers: Iterable[Peer], only: list[str]) -> tuple[list[Found], dict[str, str]]:
    found, absent = find(peer for peer in peers if not only or peer.name in only)
    for client in found:
        print(f"{client.peer.name}: {client.version}")
    return found, absent


def _tell_absent(absent: dict[str, str]) -> None:
    for name, reason in absent.items():
        print(f"{name:32}  absent: {reason}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Uploads against peers, on one emulator.")
    names = [peer.name for peer in (*google_peers(), *amazon_peers())]
    parser.add_argument("--files", type=int, help=f"files of each upload ({FILES})")
    parser.add_argument("--sizes", type=_numbers, default=SIZES_KB, metavar="KB,…", help="sizes in KB (200,20)")
    parser.add_argument("--latencies", type=_numbers, default=LATENCIES_MS, metavar="MS,…", help="in ms (0,50)")
    parser.add_argument("--objects", type=_numbers, metavar="N,…", help="numbers of small objects; 0: not measured")
    parser.add_argument("--only", action="append", default=[], choices=names, help="this client (may be repeated)")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_FILES} files, fewer objects")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    options = parser.parse_args()
    options.files = options.files or (QUICK_FILES if options.quick else FILES)
    objects = options.objects or (QUICK_OBJECTS if options.quick else () if options.only else OBJECTS)
    options.objects = [int(number) for number in objects if number]
    return options


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
