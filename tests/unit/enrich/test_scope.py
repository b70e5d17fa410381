"""Scopes of addresses, against IANA's registries and Python's own reading of them."""

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.enrich import scope as scopes
from pipeline.enrich.scope import meant, scope

#: First and last address of each network with its scope.
CASES: dict[str | None, str] = {
    "unspecified": "0.0.0.0 ::",
    "reserved": "0.0.0.1 0.255.255.255 192.0.0.1 192.0.0.255 192.88.99.0 240.0.0.0 255.255.255.254 100::1 "
    "2001:20::1 2001:1ff:ffff:: 4000::1 5f00::1 ::2",
    "private": "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 fc00:: fdff::1 "
    "64:ff9b:1::1 fec0::1",
    "cgnat": "100.64.0.0 100.127.255.255",
    "loopback": "127.0.0.1 127.255.255.255 ::1",
    "link-local": "169.254.0.0 169.254.255.255 fe80::1 febf::1",
    "documentation": "192.0.2.1 198.51.100.1 203.0.113.255 2001:db8::1 3fff:fff::1",
    "benchmarking": "198.18.0.0 198.19.255.255 2001:2::1",
    "multicast": "224.0.0.1 239.255.255.255 ff02::1",
    "broadcast": "255.255.255.255",
    None: "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 "
    "172.15.255.255 172.32.0.0 192.0.0.9 192.0.1.1 192.88.98.255 192.169.0.0 198.17.255.255 198.20.0.0 "
    "223.255.255.255 2000::1 2001::1 2001:200::1 2001:4860:4860::8888 2a00:1450::1 3ffe::1 3fff:1000::1",
}


@pytest.mark.parametrize(
    ("address", "expected"), [(address, name) for name, each in CASES.items() for address in each.split()]
)
def test_scope(address: str, expected: str | None) -> None:
    """The edges of each special network are named, and what lies beside them is global."""
    assert scope(address) == expected


@given(st.ip_addresses().map(str))
@example("192.0.0.170")
def test_shortcuts_change_nothing(address: str) -> None:
    """What is told from the first digits is what the whole table tells."""
    parsed = ipaddress.ip_address(address)
    networks = scopes._FOUR if parsed.version == 4 else scopes._SIX

    assert scope(address) == scopes._found(int(parsed), networks)


@given(st.ip_addresses(v=4))
def test_agrees_with_the_standard_library(address: ipaddress.IPv4Address) -> None:
    """An address that Python calls global has no scope, but for multicast and networks it is too lax with."""
    lax = (
        {"multicast", "reserved"} if address.is_multicast or str(address).startswith("192.88.99.") else set()
    )

    found = scope(str(address))

    assert found in lax or (found is None) == address.is_global or str(address).startswith("192.0.0.")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("64:ff9b::808:808", "8.8.8.8"),
        ("2002:808:808::1", "8.8.8.8"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:0:0:1", "::ffff:0:0:1"),
        ("64:ff9b::1:0:808:808", "64:ff9b::1:0:808:808"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_embedded_address_is_meant(address: str, expected: str) -> None:
    """A mapped, translated or 6to4 address stands for its IPv4 address."""
    assert meant(address) == expected
