"""From which addresses a page's machine may be reached."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from cxr.errors import UsageError

EVERYBODY: Final = "0.0.0.0/0"
#: Shorter prefixes than these, by version, are no networks of anybody's: they count as everybody.
_SHORTEST: Final = {4: 8, 6: 19}
_HINT: Final = "--allow 203.0.113.7/32 for one address, or --public for everybody"


def networks_of(allow: Sequence[str], *, public: bool) -> tuple[str, ...]:
    """The networks (CIDR) out of what --allow says; with `public` everybody.

    Raises UsageError when nobody is named, for what is no network, for everybody without `public`, and for less than
    that with it. The caller's own address is looked up nowhere.
    """
    if not allow and not public:
        raise UsageError("who may see it is not said", hint=_HINT)
    networks = [_network(text) for text in allow]
    wide = [network for network in networks if network.prefixlen < _SHORTEST[network.version]]
    if public and len(wide) < len(networks):
        raise UsageError("--public is for everybody, --allow for somebody", hint="leave one of them out")
    if wide and not public:
        raise UsageError(f"{wide[0]} is everybody, or nearly", hint="--public if that is meant, or a smaller --allow")
    if public:
        return (EVERYBODY, "::/0") if any(network.version == 6 for network in networks) else (EVERYBODY,)
    return tuple(sorted({str(network) for network in networks}, key=order_of))


def order_of(network: str) -> tuple[bool, str]:
    """How networks are listed: IPv4 first, then by the text."""
    return ":" in network, network


def _network(text: str) -> IPv4Network | IPv6Network:
    if text.strip().lower() == "me":
        raise UsageError("--allow me: your address is not looked up on the internet", hint="--allow YOUR.ADDRESS/32")
    try:
        return ip_network(text.strip())
    except ValueError as error:
        raise UsageError(f"--allow {text!r} is no network: {error}", hint=_HINT) from None
