"""How many files to move at the same time."""

from __future__ import annotations

from math import ceil
from typing import Final

#: The link that is to be filled, in bytes a second (1.6 Gbit/s), at the latency that is aimed at.
LINK_BYTES_S: Final = 200e6
#: Seconds that one small request takes at 50 ms latency: the round trip and about as much for the service.
REQUEST_S: Final = 0.1
FEWEST: Final = 8
#: Seconds of silence between two blocks of a file that `max_rate` may cause, and the bytes of a block.
PAUSE_S: Final = 5.0
BLOCK_BYTES: Final = 64 << 10
#: One Python process has no use for more: at 0.7 ms of CPU a file, 128 requests of 50 ms fill it.
MOST: Final = 128
#: Bytes of files that may be in memory together.
MOST_BYTES: Final = 64 << 20


def choose_workers(files: int, size: int, max_rate: float | None = None) -> int:
    """Workers for so many files of so many bytes: enough to fill `LINK_BYTES_S`, by Little's law.

    Small files take `REQUEST_S` each whatever their size, so many must be under way; large ones fill the link by few.
    `max_rate` (bytes a second) is shared by so few that none is silent for long between two blocks.
    """
    if files <= 0:
        return 1
    mean = max(size / files, 1.0)
    wanted = ceil(LINK_BYTES_S * REQUEST_S / mean)
    shares = MOST if max_rate is None else max(1, int(max_rate * PAUSE_S / BLOCK_BYTES))
    return min(max(wanted, FEWEST), MOST, files, shares)
