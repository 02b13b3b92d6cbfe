"""What was measured as results: ours beside each peer, with the ratios that are aimed at; "missed" is a word, not a
failure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.result import Better, Result, bound_of_value, least_ratio
from upload_peers.measure import Row, Scale
from upload_peers.peers import GCLOUD, GCSFS, GSUTIL, MANY, MANY_64, OURS, OURS_S3, RCLONE, RCLONE_64
from upload_peers.running import Usage

#: The latency at which first uploads are compared.
LATENCY_MS = 50
#: First upload at that latency: files a second, as a multiple of the peer's.
TIMES = {MANY: 4.0, GCLOUD: 4.0, GSUTIL: 4.0, GCSFS: 1.0, RCLONE: 1.0, RCLONE_64: 1.0}
MEMORY_MB = 150.0
AGAIN_PERCENT = 2.0
#: A second run, with nothing changed, against the same of `skip_if_exists`.
AGAIN_TIMES = 10.0
#: What ten times the objects may add to the peak, in MB.
FLAT_MB = 10.0


def row_results(rows: Iterable[Row]) -> Iterator[Result]:
    """Of each server, size and latency: our client beside every other."""
    rows = [row for row in rows if row.first]
    for ours in rows:
        if ours.client in {OURS, OURS_S3}:
            peers = [row for row in rows if _same_place(row, ours) and row.client != ours.client]
            where = f"{'S3 (moto), ' if ours.client == OURS_S3 else ''}{ours.size / 1000:g} KB, {ours.latency_ms:g} ms"
            for peer in peers or [None]:
                yield _speed(where, ours, peer)
            if ours.client == OURS:
                yield from _own(where, ours)
                if ours.latency_ms == LATENCY_MS:
                    for peer in peers:
                        yield from _beside(where, ours, peer)


def _same_place(row: Row, ours: Row) -> bool:
    to_s3 = ours.client == OURS_S3
    return (row.size, row.latency_ms) == (ours.size, ours.latency_ms) and row.to_s3 == to_s3


def _speed(where: str, ours: Row, peer: Row | None) -> Result:
    rates = [row.files / row.first.seconds if row and row.first else None for row in (ours, peer)]
    aim = TIMES.get(peer.client) if peer and ours.latency_ms == LATENCY_MS else None
    return Result(
        f"{where}: first upload", "speed", rates[0] or 0.0, "files/s", Better.MORE, peer.client if peer else "",
        rates[1], goal=least_ratio(aim) if aim else None,
    )  # fmt: skip


def _own(where: str, ours: Row) -> Iterator[Result]:
    first, again = ours.first, ours.again
    assert first is not None
    goal = bound_of_value(MEMORY_MB)
    yield Result(f"{where}: first upload", "peak memory beyond the imports", first.beyond, "MB", goal=goal)
    if again and first.counts and again.counts:
        share = 100 * again.counts.requests / max(first.counts.requests, 1)
        name = f"{where}: nothing changed"
        yield Result(name, "requests, of the first run's", share, "%", goal=bound_of_value(AGAIN_PERCENT))
        yield Result(name, "bodies sent", again.counts.inserts, "", goal=bound_of_value(0))


def _beside(where: str, ours: Row, peer: Row) -> Iterator[Result]:
    own, theirs = ours.first, peer.first
    assert own is not None
    assert theirs is not None
    aim = least_ratio(1.0) if peer.client == MANY_64 else None
    costs = [usage.cpu / row.files * 1000 for usage, row in ((own, ours), (theirs, peer))]
    name = f"{where}: first upload"
    yield Result(name, "client's processor time a file", costs[0], "ms", Better.LESS, peer.client, costs[1], goal=aim)
    yield Result(name, "peak memory beyond the imports", own.beyond, "MB", Better.LESS, peer.client, theirs.beyond)
    if ours.again and peer.again:
        aim = least_ratio(AGAIN_TIMES) if peer.client == MANY else None
        note = f"peer: {_told(peer.again)}"
        name = f"{where}: nothing changed"
        yield Result(
            name, "time", ours.again.seconds, "s", Better.LESS, peer.client, peer.again.seconds, goal=aim, note=note
        )  # fmt: skip


def _told(usage: Usage) -> str:
    counts = usage.counts
    return f"{counts.requests:,} requests, {counts.inserts:,} bodies" if counts else "not counted"


def scale_results(scales: list[Scale]) -> Iterator[Result]:
    """Our client with ever more objects; what the most of them add to the peak has a goal."""
    for scale in scales:
        name = f"{scale.objects:,} objects of 1 KB"
        rate = scale.objects / scale.sent.seconds
        yield Result(f"{name}: sent", "speed", rate, "files/s", Better.MORE)
        counts = scale.planned.counts
        note = f"{counts.lists:,} pages of listing" if counts else ""
        yield Result(f"{name}: planned, nothing changed", "time", scale.planned.seconds, "s", note=note)
        for what, usages in (("sent", "sent"), ("planned, nothing changed", "planned")):
            beyond = getattr(scale, usages).beyond
            few = getattr(scales[0], usages).beyond
            goal = bound_of_value(few + FLAT_MB) if scale is not scales[0] else None
            yield Result(f"{name}: {what}", "peak memory beyond the imports", beyond, "MB", goal=goal)
