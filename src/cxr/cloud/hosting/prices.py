"""What a hosted page costs: keeping it for a month, and sending it to who visits it first."""

from __future__ import annotations

from dataclasses import dataclass

from cxr.cloud.prices.storage import GB, storage_price

SOURCE = "the pricing pages of Cloud Storage and S3"
READ_ON = "2026-11-21"
#: USD a GB sent to the internet, in the first tier of the price lists (Americas and Europe; what is free is not
#: counted), by cloud.
USD_PER_GB_SENT = {"gs": 0.12, "s3": 0.09}
VISITS = 1000


@dataclass(frozen=True, slots=True)
class HostingPrice:
    """USD a month for keeping the page (None: not in the tables), and for VISITS first visits that fetch all of it."""

    usd_per_month: float | None
    usd_per_thousand_visits: float

    def sentence(self, *, billed: bool) -> str:
        """The price in words."""
        kept = "an unknown price" if self.usd_per_month is None else _usd(self.usd_per_month)
        said = (
            f"{kept} a month to keep it, at most {_usd(self.usd_per_thousand_visits)} for {VISITS:,} first visits "
            f"({SOURCE}, read {READ_ON})"
        )
        return said if billed else f"nothing here; on the service {said}"


def hosting_price(url: str, location: str, size: int) -> HostingPrice:
    """The price of a page of `size` stored bytes in the bucket at `url`."""
    kind = url.partition("://")[0]
    return HostingPrice(storage_price(size, location).usd, VISITS * size / GB * USD_PER_GB_SENT[kind])


def _usd(amount: float) -> str:
    return "less than 0.01 USD" if amount < 0.01 else f"{amount:,.2f} USD"
