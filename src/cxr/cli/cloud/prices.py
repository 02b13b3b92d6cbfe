"""`cxr cloud prices`."""

from __future__ import annotations

from typing import Annotated

import typer

from cxr.cli.cloud.common import CloudFlags, prices_at
from cxr.cli.cloud.train_options import OLD_AFTER_DAYS, Prices
from cxr.cli.options import Json, On, Quiet
from cxr.cli.out import Out

UNITS = {
    "automl": "node hour",
    "machines": "hour",
    "accelerators": "hour, each",
    "disks": "GB and month",
    "builds": "build minute",
    "addresses": "hour",
}


def prices(
    on: On = None,
    prices: Prices = None,
    old_days: Annotated[
        int, typer.Option("--old-days", min=1, help="Warn of prices read longer ago than this.")
    ] = OLD_AFTER_DAYS,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The price table that plans are made with there: each price with its date and source.

    Example: cxr cloud prices --on gcp --prices my-prices.toml
    """
    from datetime import date

    from cxr.cloud.prices.table import age_in_days
    from cxr.cloud.providers import provider_of

    out = Out(json=json, quiet=quiet)
    settings = CloudFlags(on=on, prices=prices).settings()
    table = prices_at(provider_of(settings.on), settings)
    today = date.today()
    rows = [
        (name, f"{price.usd_per_hour:.4f}", UNITS[kind], price.region or "all", price.read_on, price.source)
        for (kind, name), price in table.entries.items()
    ]
    out.table(("what", "USD", "per", "region", "read on", "source"), rows)
    out.say(
        f"spot capacity: at least {table.spot_discount:.0%} less is expected, and none of it in the worst case"
        if table.spot_discount
        else "spot capacity: the cloud states no least discount, so that none is counted on"
    )
    old = [name for (_, name), price in table.entries.items() if age_in_days(price, today) > old_days]
    if old:
        out.warn(f"read more than {old_days} days ago: {', '.join(old)}; look them up before a long job")
    out.say("another price: put it into a file of the same form and say --prices FILE, or prices = FILE in cxr.toml")
    out.result(
        "cloud.prices",
        {
            "cloud": table.price_list.cloud,
            "origin": table.origin,
            "spot_discount": table.spot_discount,
            "prices": [
                {
                    "kind": kind,
                    "name": name,
                    "usd": price.usd_per_hour,
                    "per": UNITS[kind],
                    "region": price.region,
                    "read_on": price.read_on,
                    "source": price.source,
                    "days_old": age_in_days(price, today),
                }
                for (kind, name), price in table.entries.items()
            ],
        },
    )
