"""What Amazon charges: SageMaker's and EC2's machines with their volumes, and Autopilot by an assumed machine."""

from __future__ import annotations

from dataclasses import replace

from cxr.cloud.aws.offers import AUTOPILOT, ML, choose_hardware
from cxr.cloud.hardware import Hardware
from cxr.cloud.prices.table import HOURS_A_MONTH, Charge, HourlyPrice, Price, PriceList, PriceTable

#: Entries of the price table for the volumes: of a training job, and of an EC2 instance.
ML_STORAGE = "ml-storage"
GP3 = "gp3"
#: Of a machine's address on the internet.
IPV4 = "public-ipv4"


def amazon_charges(hardware: Hardware) -> list[Charge]:
    """An instance, its GPUs in its price, and its volume. That SageMaker may take no volume where the instance has
    disks of its own is not counted on."""
    volume = ML_STORAGE if hardware.machine.startswith(ML) else GP3
    return [
        Charge("machines", hardware.machine),
        Charge("disks", volume, hardware.disk_gb / HOURS_A_MONTH, compute=False),
    ]


AMAZON = PriceList("aws", "cxr.cloud.aws", amazon_charges)


def autopilot_price(prices: PriceTable) -> HourlyPrice:
    """What an hour of image classification by Autopilot costs, on machines that are assumed and said to be. Raises
    UsageError when the table has no price of them."""
    worst = prices.hardware(choose_hardware(AUTOPILOT.worst_machine)).at_most
    expected = prices.hardware(choose_hardware(AUTOPILOT.expected_machine)).at_most.usd_per_hour
    assumed = f"{AUTOPILOT.basis}: {AUTOPILOT.worst_machine} is assumed for the worst case; {worst.source}"
    return HourlyPrice(replace(worst, source=assumed), expected, f"{AUTOPILOT.expected_machine} is assumed")


def page_machine_price(prices: PriceTable, machine: str, disk_gb: int) -> Price:
    """What an hour of a page's machine costs, with its disk and its address; what is sent to visitors is not in it.
    Raises UsageError when the table has no price of one of them."""
    rented = prices.hardware(Hardware(machine, None, 0, disk_gb=disk_gb)).at_most
    address = prices.address(IPV4)
    return replace(
        rented,
        usd_per_hour=rented.usd_per_hour + address.usd_per_hour,
        read_on=min(rented.read_on, address.read_on),
        source=f"{rented.source}; {address.source}",
    )
