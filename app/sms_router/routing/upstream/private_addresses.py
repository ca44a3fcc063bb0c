"""Which addresses URLs from Twilio's side may lead to: none within the network of the router.

Who may change a number at Twilio could otherwise read the router's metrics, or a cloud's metadata, by text.
"""

from __future__ import annotations

import ipaddress

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class PrivateAddressError(OSError):
    """A host has only addresses that a URL from Twilio's side may not lead to."""


def is_private(address: str) -> bool:
    """Return whether an IP address is no public one: loopback, link-local, private, mapped, reserved.

    Raises:
        ValueError: when it is no IP address.

    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded is not None:
            return is_private(str(embedded))
    return not ip.is_global or ip.is_multicast


def is_private_literal(host: str) -> bool:
    """Return whether a host is written as an IP address that is private; names are resolved later."""
    try:
        return is_private(host)
    except ValueError:
        return False
