"""First upload and repeated upload against `transfer_manager.upload_many` of the SDK, on the same emulator.

Prints files a second of each and the ratios. 1,500 files of 20 KB; both sides send to one server on loopback.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from google.cloud.storage import transfer_manager

from cxr.cloud.connection import connect
from cxr.cloud.emulator.process import stop
from cxr.settings import Settings
from cxr.storage.buckets import create_private_bucket
from cxr.storage.checksums import crc32c_of_file
from cxr.storage.gcs import gcs_client
from cxr.storage.transfer import LocalFile, execute_upload, plan_upload

FILES = 1500
SIZE = 20_000
WORKERS = 16


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = _make_files(folder / "images")
        settings = Settings(state_dir=folder / ".cxr")
        try:
            _measure(settings, images)
        finally:
            stop(settings.emulator_dir)


def _measure(settings: Settings, images: list[Path]) -> None:
    connection = connect(settings)
    place = {"endpoint": connection.endpoint, "project": connection.project}
    create_private_bucket(connection.bucket, region=connection.region, **place)
    store = connection.store(workers=WORKERS)
    files = [LocalFile(f"ours/{path.name}", path, SIZE, crc32c_of_file(path)) for path in images]

    def ours() -> None:
        execute_upload(plan_upload(files, store, "ours/"), store, workers=WORKERS, on_progress=lambda *_: None)

    bucket = gcs_client(workers=WORKERS, **place).bucket(connection.bucket)
    pairs = [(str(path), bucket.blob(f"theirs/{path.name}")) for path in images]

    def theirs(**options: object) -> None:
        transfer_manager.upload_many(pairs, worker_type=transfer_manager.THREAD, raise_exception=True, **options)

    first, peer = _seconds(ours), _seconds(theirs)
    again, peer_again = _seconds(ours), _seconds(lambda: theirs(skip_if_exists=True))
    ours_s, peer_s = FILES / first, FILES / peer
    print(f"first upload: cxr {ours_s:.0f} files/s, upload_many {peer_s:.0f} files/s, {peer / first:.2f}x")
    print(f"nothing new:  cxr {again:.2f} s, skip_if_exists {peer_again:.2f} s, {peer_again / again:.1f}x")


def _make_files(folder: Path) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number:05d}.jpeg" for number in range(FILES)]
    for path in paths:
        path.write_bytes(os.urandom(SIZE))
    return paths


def _seconds(action: Callable[[], None]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
