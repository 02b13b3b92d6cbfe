"""Which prices hold where `cxr cloud` works: a rehearsal is priced as the cloud that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cxr.cloud.aws.prices import AMAZON
from cxr.cloud.prices import GOOGLE, PriceList, PriceTable, price_table
from cxr.errors import UsageError

PRICE_LISTS: Mapping[str, PriceList] = {"emulator": GOOGLE, "gcp": GOOGLE, "aws": AMAZON, "aws-local": AMAZON}


def price_table_of(on: str, override: Path | None = None) -> PriceTable:
    """The table of the place `on`, by its name in --on, with the entries of the user's file in place of its own.

    Raises UsageError for a place without prices, InputError for a file that is not there or is not of the form.
    """
    prices = PRICE_LISTS.get(on)
    if prices is None:
        raise UsageError(f"no prices are known for {on!r}", hint=f"choose one of: {', '.join(PRICE_LISTS)}")
    return price_table(override, prices)
