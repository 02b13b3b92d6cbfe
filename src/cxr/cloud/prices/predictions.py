"""What the service charges for predictions of its AutoML image models, with date and source, and how long they take.

The prices are a node hour's: nodes are the service's own, their number too for a batch. Neither has a budget on the
service's side, so that hours are assumed here, and said to be.
"""

from __future__ import annotations

from dataclasses import dataclass

from cxr.cloud.prices.table import Price

#: https://cloud.google.com/vertex-ai/pricing, AutoML models, image data, classification. Read in a stored copy of that
#: page, so check it before a large run.
_PAGE = "Vertex AI pricing page, AutoML image classification"
BATCH_NODE_HOUR = Price(2.222, "2026-11-20", _PAGE)
ONLINE_NODE_HOUR = Price(1.375, "2026-11-20", _PAGE)

#: Assumed, not measured: starting and ending a job, and images that one node scores in an hour.
BATCH_STARTUP_HOURS = 0.5
BATCH_IMAGES_PER_NODE_HOUR = 10_000
#: Assumed: deploying and removing, during which a node is billed, and images a second over the network.
DEPLOYMENT_HOURS = 0.5
ONLINE_IMAGES_PER_SECOND = 4.0
#: The worst case is this many times the expectation. It is no bound: the service has none.
WORST_FACTOR = 4.0
#: Nodes of an endpoint that cxr makes.
ONLINE_NODES = 1


@dataclass(frozen=True, slots=True)
class Estimate:
    """Node hours: expected, and taken for the worst case. `basis` is what they rest on."""

    expected_hours: float
    worst_hours: float
    basis: str


def batch_estimate(images: int) -> Estimate:
    """Node hours of a batch prediction of so many images."""
    hours = BATCH_STARTUP_HOURS + images / BATCH_IMAGES_PER_NODE_HOUR
    basis = f"assumed {BATCH_IMAGES_PER_NODE_HOUR:,} images a node hour and half an hour to start, not measured"
    return Estimate(hours, WORST_FACTOR * hours, basis)


def online_estimate(images: int) -> Estimate:
    """Node hours of an endpoint that is made for so many images and removed."""
    hours = ONLINE_NODES * (DEPLOYMENT_HOURS + images / ONLINE_IMAGES_PER_SECOND / 3600)
    basis = f"assumed half an hour to deploy and {ONLINE_IMAGES_PER_SECOND:g} images a second, not measured"
    return Estimate(hours, WORST_FACTOR * hours, basis)
