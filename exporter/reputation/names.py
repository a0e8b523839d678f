"""Names to ask a blocklist by (RFC 5782, sections 2.1 and 2.4)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

Ip = IPv4Address | IPv6Address
Family = Literal["ipv4", "ipv6"]
FAMILIES: tuple[Family, ...] = ("ipv4", "ipv6")


def family_of(ip: Ip) -> Family:
    """The label `family` of an address."""
    return "ipv4" if ip.version == 4 else "ipv6"


def plain(ip: Ip) -> Ip:
    """The address itself: one of IPv4 that is written as an IPv6 address (`::ffff:192.0.2.1`) is of IPv4."""
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def read(text: str) -> Ip:
    """The address that a text says, in any of its spellings, a prefix length behind it. ValueError if none."""
    return plain(ip_address(text.strip().partition("/")[0]))


def reverse(ip: Ip) -> str:
    """`192.0.2.99` as `99.2.0.192`; an IPv6 address as its 32 nibbles, the last first."""
    if ip.version == 4:
        return ".".join(str(octet) for octet in reversed(ip.packed))
    return ".".join(reversed(ip.packed.hex()))


def query_name(ip: Ip, zone: str) -> str:
    """The absolute name to ask for."""
    return f"{reverse(ip)}.{zone.rstrip('.')}."
