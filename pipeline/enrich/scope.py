"""What an address is where it is none of the public Internet, by IANA's registries of special purpose.

https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry, and RFC 5771 and
4291 for multicast. A network that is part of another one's exception stands before it.
"""

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

#: Network → scope; None is the public Internet.
_SPECIAL: dict[str, str | None] = {
    "0.0.0.0/32": "unspecified",
    "0.0.0.0/8": "reserved",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "cgnat",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.9/32": None,
    "192.0.0.10/32": None,
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "reserved",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "255.255.255.255/32": "broadcast",
    "240.0.0.0/4": "reserved",
    "::/128": "unspecified",
    "::1/128": "loopback",
    "2001::/32": None,  # Teredo
    "2001:1::1/128": None,
    "2001:1::2/128": None,
    "2001:1::3/128": None,
    "2001:2::/48": "benchmarking",
    "2001:3::/32": None,
    "2001:4:112::/48": None,
    "2001:30::/28": None,
    "2001:db8::/32": "documentation",
    "2001::/23": "reserved",
    "3fff::/20": "documentation",
    "2000::/3": None,
    "64:ff9b:1::/48": "private",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "fec0::/10": "private",  # site-local, deprecated
    "ff00::/8": "multicast",
    "::/0": "reserved",
}
#: First 96 bits before an IPv4 address that is meant: mapped (RFC 4291), NAT64 (RFC 6052).
_EMBEDDING = [int(IPv6Address(first)) >> 32 for first in ("::ffff:0:0", "64:ff9b::")]
#: First 16 bits of 6to4 (RFC 3056), which has the IPv4 address right behind.
_SIX_TO_FOUR = 0x2002

_Network = tuple[int, int, str | None]


def _networks(version: int) -> list[_Network]:
    found = [(ipaddress.ip_network(network), scope) for network, scope in _SPECIAL.items()]
    return [
        (int(network.network_address), int(network.netmask), scope)
        for network, scope in found
        if network.version == version
    ]


def _first_octets(networks: Iterable[_Network]) -> set[str]:
    """Return the first octets, in decimal, of which an address may be special."""
    return {
        str(octet)
        for low, mask, _ in networks
        for octet in range(256)
        if octet & (mask >> 24) & 255 == (low & mask) >> 24
    }


_FOUR, _SIX = _networks(4), _networks(6)
_OCTETS = _first_octets(_FOUR)
#: Beginnings of addresses in 2000::/3 that need a look.
_DOUBTFUL = ("2001:", "2002:", "3fff:")
#: Length of `2abc:`, the beginning of an address in 2000::/3 in canonical form.
_GROUP = 5


def meant(address: str) -> str:
    """Return the IPv4 address that an IPv6 address embeds, else the address as it is."""
    if ":" not in address or not address.startswith(("::ffff:", "64:ff9b::", "2002:")):
        return address
    number = int(IPv6Address(address))
    if number >> 112 == _SIX_TO_FOUR:
        return str(IPv4Address(number >> 80 & 0xFFFFFFFF))
    return str(IPv4Address(number & 0xFFFFFFFF)) if number >> 32 in _EMBEDDING else address


def scope(address: str) -> str | None:
    """Return what a canonical IPv4 or IPv6 address is, None where it is global.

    Args:
        address: as `meant` returns it.
    """
    if ":" in address:
        # The two digits that nearly all addresses begin with, without arithmetic on 128 bits.
        if address[0] in "23" and address[4:_GROUP] == ":" and not address.startswith(_DOUBTFUL):
            return None
        return _found(int(IPv6Address(address)), _SIX)
    if address.partition(".")[0] not in _OCTETS:
        return None
    return _found(int(IPv4Address(address)), _FOUR)


def _found(number: int, networks: Iterable[_Network]) -> str | None:
    return next((scope for low, mask, scope in networks if number & mask == low), None)
