"""The ratios that are aimed at, each with what was measured; "missed" is a word, not a failure."""

from __future__ import annotations

from collections.abc import Iterator

from upload_peers.measure import Row, Scale
from upload_peers.peers import GCLOUD, GCSFS, GSUTIL, MANY, MANY_64, OURS, RCLONE, RCLONE_64
from upload_peers.running import Usage

#: The latency at which first uploads are compared.
LATENCY_MS = 50
#: First upload at that latency: files a second, as a multiple of the peer's.
TIMES = {MANY: 4.0, GCLOUD: 4.0, GSUTIL: 4.0, GCSFS: 1.0, RCLONE: 1.0, RCLONE_64: 1.0}
MEMORY_MB = 150.0
AGAIN_REQUESTS = 0.02
AGAIN_TIME = 0.1
#: What ten times the objects may add to the peak, in MB.
FLAT_MB = 10.0


def goals(rows: list[Row], scales: list[Scale]) -> Iterator[str]:
    """A line for each goal and measurement."""
    for ours in rows:
        if ours.client == OURS and ours.first:
            same = [row for row in rows if (row.size, row.latency_ms) == (ours.size, ours.latency_ms)]
            peers = {row.client: row for row in same}
            where = f"{ours.size / 1000:g} KB, {ours.latency_ms:g} ms"
            for text in _cell(ours, ours.first, peers):
                yield f"{where:15}{text}"
    if len(scales) > 1:
        yield from _flat(scales[0], scales[-1])


def _cell(ours: Row, first: Usage, peers: dict[str, Row]) -> Iterator[str]:
    if ours.latency_ms == LATENCY_MS:
        for name, times in TIMES.items():
            peer = peers.get(name)
            if peer and peer.first:
                ratio = peer.first.seconds / first.seconds
                yield _told(f"first upload, times {name}", f"{ratio:.2f}", f"at least {times:g}", ratio >= times)
    threads = peers.get(MANY_64)
    if threads and threads.first:
        own, theirs = (usage.cpu / ours.files * 1000 for usage in (first, threads.first))
        goal = f"at most {theirs:.2f}, that of {MANY_64}"
        yield _told("client CPU a file, ms", f"{own:.2f}", goal, own <= theirs)
    yield _told("peak memory, MB", f"{first.beyond:.0f}", f"under {MEMORY_MB:g}", first.beyond < MEMORY_MB)
    if ours.again:
        yield from _again(first, ours.again, peers.get(MANY))


def _again(first: Usage, again: Usage, peer: Row | None) -> Iterator[str]:
    if first.counts and again.counts:
        share = again.counts.requests / max(first.counts.requests, 1)
        told = f"{share:.2%} of the first run's"
        yield _told("nothing changed: requests", told, f"at most {AGAIN_REQUESTS:.0%}", share <= AGAIN_REQUESTS)
        told = f"{again.counts.inserts} in {again.counts.received:,} bytes"
        yield _told("nothing changed: bodies sent", told, "0", not again.counts.inserts)
    if peer and peer.again:
        share = again.seconds / peer.again.seconds
        told = f"{share:.3f} of skip_if_exists"
        yield _told("nothing changed: time", told, f"under {AGAIN_TIME:g}", share < AGAIN_TIME)


def _flat(few: Scale, many: Scale) -> Iterator[str]:
    where = f"{many.objects:,}"
    for what, less, more in (
        ("plan and listing", few.planned.beyond, many.planned.beyond),
        ("upload", few.sent.beyond, many.sent.beyond),
    ):
        told = f"{more:.1f} after {less:.1f} at {few.objects:,}"
        yield f"{where:15}" + _told(f"{what}: memory, MB", told, f"at most {FLAT_MB:g} more", more - less <= FLAT_MB)


def _told(what: str, measured: str, goal: str, reached: bool) -> str:
    return f"{what:44}{measured:>28}   goal: {goal}{'' if reached else '   MISSED'}"
