"""What is charged for what lies there: storage by the month, and nodes of endpoints by the hour.

Datasets, training pipelines, jobs and models that are not deployed cost nothing by themselves (Vertex AI pricing page:
models that are not deployed are not charged); a dataset's images cost what their objects in the bucket cost.
"""

from __future__ import annotations

from dataclasses import dataclass

from cxr.cloud.hardware import Hardware
from cxr.cloud.prices.predictions import ONLINE_NODE_HOUR
from cxr.cloud.prices.table import HOURS_A_MONTH, PriceTable
from cxr.errors import UsageError

#: A GB of the storage price list is 2^30 bytes.
GB = 1 << 30
STORAGE_SOURCE = "Cloud Storage pricing page, Standard storage, per GB and month"
S3_SOURCE = "S3 pricing page, S3 Standard, first 50 TB, per GB and month"
STORAGE_READ_ON = "2026-11-21"
#: USD a GB and month of Standard storage, by location. Other classes cost less to keep, and more to read.
USD_PER_GB_MONTH = {
    "us-central1": 0.020,
    "us-east1": 0.020,
    "us-west1": 0.020,
    "us-east4": 0.023,
    "us-west2": 0.023,
    "europe-west1": 0.020,
    "europe-west4": 0.020,
    "europe-west3": 0.023,
    "europe-west2": 0.023,
    "us": 0.026,
    "eu": 0.026,
}
#: The same of S3 Standard, where it is known.
S3_USD_PER_GB_MONTH = {"us-east-1": 0.023, "us-east-2": 0.023, "us-west-2": 0.023, "eu-west-1": 0.023}


@dataclass(frozen=True, slots=True)
class MonthlyPrice:
    """USD a month, None when the tables do not tell, and what the figure rests on."""

    usd: float | None
    basis: str


def storage_price(size: int, location: str | None) -> MonthlyPrice:
    """The price of keeping `size` bytes for a month at a bucket's location (lower case): no two clouds have a name in
    common."""
    amazon = location in S3_USD_PER_GB_MONTH
    usd = (S3_USD_PER_GB_MONTH if amazon else USD_PER_GB_MONTH).get(location or "")
    if usd is None:
        return MonthlyPrice(None, f"the storage price of {location or 'an unknown location'} is not in the table")
    source = S3_SOURCE if amazon else STORAGE_SOURCE
    return MonthlyPrice(size / GB * usd, f"{usd:g} USD a GB and month, {source}, read {STORAGE_READ_ON}")


def automl_nodes_price(nodes: int) -> MonthlyPrice:
    """The price of so many nodes of a deployed AutoML image model for a month, whether it is asked or not."""
    price = ONLINE_NODE_HOUR
    basis = f"{nodes} x {price.usd_per_hour:g} USD an hour x 730, {price.source}, read {price.read_on}"
    return MonthlyPrice(nodes * price.usd_per_hour * HOURS_A_MONTH, basis)


def machines_price(prices: PriceTable, hardware: Hardware) -> MonthlyPrice:
    """The price of an endpoint's own machines for a month, by the table of training machines."""
    try:
        price = prices.hardware(hardware).at_most
    except (UsageError, KeyError):
        return MonthlyPrice(None, f"the price of {hardware.machine} is not in the table")
    basis = f"{price.usd_per_hour:.4g} USD an hour x 730, the price of training on {hardware.machine}, {price.read_on}"
    return MonthlyPrice(price.usd_per_hour * HOURS_A_MONTH, basis)
