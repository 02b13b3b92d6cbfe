"""A machine that serves a page out of its private bucket: what is asked for, and what a cloud that has them does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from cxr.cloud.prices.table import Price
from cxr.errors import UsageError

#: Hours after which a machine ends by itself, unless said otherwise, and at most: a month, so that one that is
#: forgotten ends, too.
DEFAULT_HOURS: Final = 24.0
MAXIMUM_HOURS: Final = 720.0
HTTP_ONLY: Final = (
    "HTTP only: browsers give no camera and no service worker there, and anybody on the way can read along; for HTTPS "
    "put CloudFront before the bucket"
)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Which machine, for how many hours, reached from which networks (CIDR); `public`: these are everybody."""

    machine: str
    hours: float
    networks: tuple[str, ...]
    public: bool = False


@dataclass(frozen=True, slots=True)
class PageServer:
    """A machine that is there: its resource name, the service's word for its state, its type, its name on the internet
    ("" while it has none), when it ends (ISO, UTC), and from where it may be reached."""

    resource: str
    state: str
    machine: str
    address: str
    ends: str
    networks: tuple[str, ...]

    @property
    def id(self) -> str:
        """Its short name."""
        return self.resource.rpartition("/")[2]


class PageServers(Protocol):
    """The machines of one page's place. Every method raises what the service's errors become."""

    @property
    def engine(self) -> str:
        """What --engine calls it."""

    @property
    def region(self) -> str:
        """Where machines are started."""

    @property
    def usual_machine(self) -> str:
        """The machine type unless another is named."""

    def rows(self, options: ServerOptions) -> list[tuple[str, str]]:
        """What a plan tells of a machine that would be started. Raises UsageError for what cannot be started."""

    def price(self, machine: str) -> Price:
        """USD an hour with disk and address. Raises UsageError when the table has none."""

    def find(self) -> PageServer | None:
        """The page's machine, if one lives."""

    def allow(self, networks: tuple[str, ...]) -> None:
        """Let these networks in, and nobody else; a machine that runs included."""

    def start(self, options: ServerOptions, number: int) -> PageServer:
        """Start the page's `number`-th machine; asked twice, it is one. It ends by itself."""

    def has_access_rules(self) -> bool:
        """Whether `allow` has left something, be there a machine or not."""

    def end(self, server: PageServer | None) -> None:
        """End a machine, wait for that, and take away what `allow` made."""


def check_hours(hours: float) -> float:
    """Raises UsageError for hours that are none, or too many."""
    if not 0 < hours <= MAXIMUM_HOURS:
        raise UsageError(
            f"a machine for {hours:g} hours is not started", hint=f"--hours from above 0 to {MAXIMUM_HOURS:g}"
        )
    return hours
