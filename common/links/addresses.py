"""Which addresses belong to the public internet. `common.links` decides what may be connected to."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# RFC 6052: IPv4 addresses inside IPv6, behind a translator.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# RFC 4291: the range allocated for the public internet.
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Addresses that do not lead to the public internet, whatever this Python version reports for them: IANA's
# special-purpose registry, and addresses inside public ranges that clouds reserve for internal services.
NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
        "100.64.0.0/10",  # shared address space; Alibaba's metadata is 100.100.100.200
        "192.0.0.0/24",  # IETF protocol assignments; Oracle's metadata is 192.0.0.192
        "192.88.99.0/24",  # formerly the 6to4 relay
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),  # documentation
        *("192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24"),  # AS112 and AMT
        *("198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # Azure's platform address
        *("161.26.0.0/16", "166.8.0.0/14"),  # IBM Cloud's service network
        "2001::/23",  # IETF protocol assignments; Teredo addresses are decoded before this check
        *("2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
        "2620:4f:8000::/48",
    )
)
# RFC 5214: the interface half of an ISATAP address, without the bit that says "globally unique" and the IPv4 address.
ISATAP = 0x0000_5EFE


def is_public(address: Address) -> bool:
    """Whether an address, and any IPv4 address embedded in it, belongs to the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        if (int(address) >> 32) & 0xFDFF_FFFF == ISATAP:
            return False
        inside = _embedded(address)
        if inside is not None:
            return is_public(inside)
        if address not in GLOBAL_UNICAST:
            return False
    if any(address in network for network in NEVER if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in NAT64 or int(address) >> 32 == 0:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
