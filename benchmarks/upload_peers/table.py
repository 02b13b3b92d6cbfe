"""The table, a line as soon as it is measured."""

from __future__ import annotations

from upload_peers.measure import Row, Scale
from upload_peers.running import Usage

_FIRST = ("files/s", "CPU ms", "MB", "peak MB", "requests", "conns")
_AGAIN = ("s", "requests", "puts", "MB in")
LEGEND = """\
files/s     the first upload; Python clients without their start and imports, programs as a whole
CPU ms      of the client, user and system, for each file
MB          peak memory beyond what the interpreter has after its imports; of programs the largest process, whole
peak MB     peak memory of the process; of programs the largest one's
again       the second run with nothing changed: seconds, requests, how many of them sent a body, MB that came in
"""


def heading(title: str) -> str:
    """A title and the names of the columns."""
    first = "".join(f"{name:>10}" for name in _FIRST)
    again = "".join(f"{name:>10}" for name in _AGAIN)
    return f"\n{title}\n{'':32}{first}  |{'again:':>7}{again[7:]}"


def line(row: Row) -> str:
    """One client."""
    cells = [f"{row.client:32}"]
    if row.first:
        cells += [_first(row.first, row.files), "  |"]
        cells += [_again(row.again)] if row.again else ["  it has none that leaves files out" if not row.note else ""]
    return "".join(cells) + (f"  {row.note}" if row.note else "")


def scale_heading() -> str:
    """The columns of `scale_line`."""
    names = ("files/s", "MB", "plan s", "MB", "requests", "lists")
    return f"\nmany objects of 1 KB, cxr: sent, then planned with nothing changed\n{'':12}" + "".join(
        f"{name:>10}" for name in names
    )


def scale_line(scale: Scale) -> str:
    """One number of objects."""
    sent, planned = scale.sent, scale.planned
    counts = planned.counts
    cells = (
        f"{scale.objects / sent.seconds:.0f}",
        f"{sent.beyond:.1f}",
        f"{planned.seconds:.2f}",
        f"{planned.beyond:.1f}",
        f"{counts.requests if counts else 0:,}",
        f"{counts.lists if counts else 0:,}",
    )
    return f"{scale.objects:<12,}" + "".join(f"{cell:>10}" for cell in cells)


def _first(usage: Usage, files: int) -> str:
    counts = usage.counts
    cells = (
        f"{files / usage.seconds:.0f}",
        f"{usage.cpu / files * 1000:.2f}",
        f"{usage.beyond:.0f}",
        f"{usage.peak:.0f}",
        f"{counts.requests:,}" if counts else "-",
        f"{counts.connections:,}" if counts else "-",
    )
    return "".join(f"{cell:>10}" for cell in cells)


def _again(usage: Usage) -> str:
    counts = usage.counts
    cells = (
        f"{usage.seconds:.2f}",
        f"{counts.requests:,}" if counts else "-",
        f"{counts.inserts:,}" if counts else "-",
        f"{counts.received / 1e6:.1f}" if counts else "-",
    )
    return "".join(f"{cell:>10}" for cell in cells)
