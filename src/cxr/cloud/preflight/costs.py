"""What a job costs at most, as a finding."""

from __future__ import annotations

from cxr.cloud.preflight.findings import Finding, Level
from cxr.cloud.prices.table import Price


def price_finding(most: Price, hours: float, here: str) -> Finding:
    """USD for `hours` at the price `most`; a price of another region than `here` wants a look."""
    rate = f"{most.usd_per_hour:.4g} USD an hour, read {most.read_on}"
    words = f"{rate}; at most {most.usd_per_hour * hours:,.2f} USD for {round(hours, 3):g} h"
    if most.region in {None, here}:
        return Finding(Level.OK, "price", words)
    following = f"--prices FILE with the prices of {here}; cxr cloud prices shows the form"
    return Finding(
        Level.WARNING, "price", f"{words}: that is the price of {most.region}, not of {here}", next=following
    )
