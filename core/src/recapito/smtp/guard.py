"""Which addresses and ports a host that an operator typed may lead to."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

__all__ = ["OPEN_PORTS", "is_loopback", "is_public"]

#: Where mail is submitted; any other port could make of a mail check a scanner of the company's network.
OPEN_PORTS = frozenset({25, 465, 587, 2525})

_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether ``address`` (numeric) is one of the public internet, and not this machine's or its network's."""
    found = _plain(address)
    return found.is_global and not (found.is_multicast or found.is_reserved)


def is_loopback(address: str) -> bool:
    """Whether ``address`` (numeric) is this machine."""
    return _plain(address).is_loopback


def _plain(address: str) -> IPv4Address | IPv6Address:
    """The address that is really meant: IPv6 has several ways to write an IPv4 address."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv4Address):
        return found
    if found.ipv4_mapped:
        return found.ipv4_mapped
    if found.sixtofour:
        return found.sixtofour
    if found.teredo:
        return found.teredo[1]
    if found in _NAT64:
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found
