"""Which files a model was trained on, so that the page can say so of an image that it is given.

The page carries the first eight bytes of each training image's SHA-256. A hash tells who has the file that it is that
file, and nothing to anybody else: a page that is public shows of the patients no more than that.
"""

from __future__ import annotations

from collections.abc import Iterable

#: Of ten million other files, one in 2e8 such sets of ten thousand would be taken for a training image.
PREFIX_BYTES = 8


def known_prefixes(hashes: Iterable[str]) -> bytes:
    """SHA-256 in hex -> their first PREFIX_BYTES bytes, sorted and without doubles, one after the other."""
    return b"".join(sorted({bytes.fromhex(each)[:PREFIX_BYTES] for each in hashes}))
