"""Tables of the user's own: what they add, and that an error names file and line."""

import ipaddress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.enrich.lookups import lookup_enricher, lookup_files
from pipeline.enrich.networks import NetworkTable
from pipeline.enrich.scope import meant
from pipeline.errors import ConfigurationError


def table(folder: Path, name: str, text: str) -> Path:
    """Write a lookup and return its path."""
    path = folder / f"{name}.csv"
    path.write_bytes(text.encode())
    return path


def test_columns_and_entries(tmp_path: Path) -> None:
    """A known name fills its column, typed; others become entries of extra; empty cells say nothing."""
    text = (
        'ip,city,asn,team,"floor"\r\n10.0.0.1,Lyon,64500,"ops, night",2\r\n::1,,,,\r\n\r\n2001:DB8::1,,,a,\n'
    )
    enricher = lookup_enricher(table(tmp_path, "ip", text))

    assert (enricher.name, enricher.column) == ("ip.csv", "ip")
    assert enricher.outputs == ("city", "asn", "extra")
    assert enricher.enrich("10.0.0.1") == ("Lyon", 64500, {"team": "ops, night", "floor": "2"})
    assert enricher.enrich("::1") == (None, None, None)
    assert enricher.enrich("2001:db8::1") == (None, None, {"team": "a"}), "the canonical form is the key"
    assert enricher.enrich("10.0.0.2") == (None, None, None)


def test_networks(tmp_path: Path) -> None:
    """Of the networks that hold an address the smallest has the say, whatever the order of the lines."""
    text = "ip,team\n0.0.0.0/0,all\n10.0.4.7,one\n10.0.0.0/8,ten\n10.0.4.0/24,four\n2001:DB8::/32,six\n"
    enrich = lookup_enricher(table(tmp_path, "ip", text)).enrich

    expected = {
        "10.0.4.7": "one",
        "10.0.4.8": "four",
        "10.255.255.255": "ten",
        "11.0.0.0": "all",
        "::ffff:10.0.4.7": "one",
        "2001:db8:ffff::1": "six",
    }
    assert {ip: enrich(ip)[0]["team"] for ip in expected} == expected
    assert enrich("2001:db9::1") == (None,)


NETWORKS = st.lists(st.tuples(st.ip_addresses(), st.integers(0, 128)), max_size=8)


@given(NETWORKS, st.ip_addresses())
def test_smallest_network_is_found(chosen: list[tuple[Any, int]], address: Any) -> None:
    """The answer is that of the longest of all networks that hold the address."""
    networks = {
        ipaddress.ip_network((ip, length % (ip.max_prefixlen + 1)), strict=False)
        for ip, length in [*chosen, *((address, length) for _, length in chosen)]
    }
    found = NetworkTable({str(network): network for network in networks}, None).find(str(address))

    meant_address = ipaddress.ip_address(meant(str(address)))
    holding = [network for network in networks if meant_address in network]
    assert found == max(holding, key=lambda network: network.prefixlen, default=None)


@pytest.mark.parametrize(
    ("column", "key", "value"),
    [
        ("status", "404", 404),
        ("is_bot", "True", True),
        ("path", "/a", "/a"),
        ("duration_seconds", "1.50", 1.5),
    ],
)
def test_key_of_any_type(tmp_path: Path, column: str, key: str, value: object) -> None:
    """Values that are no text find their line as well."""
    enricher = lookup_enricher(table(tmp_path, column, f"{column},x\n{key},y\n"))

    assert enricher.enrich(value) == ({"x": "y"},)


def test_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    """A file that a spreadsheet wrote is read."""
    assert lookup_enricher(table(tmp_path, "ip", "\ufeffip,city\n1.1.1.1,X\n")).enrich("1.1.1.1") == ("X",)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("nothing", "nothing,x\n", r"nothing\.csv:1: no column nothing to look up"),
        ("timestamp", "timestamp,x\n", r"timestamp\.csv:1: no column timestamp"),
        ("extra", "extra,x\n", r"extra\.csv:1: no column extra"),
        ("ip", "", r"ip\.csv:1: the first name of the head must be ip"),
        ("ip", "address,x\n", r"ip\.csv:1: the first name of the head must be ip"),
        ("ip", "ip\n", r"ip\.csv:1: the head needs further names"),
        ("ip", "ip,a,a\n", r"ip\.csv:1: the head needs further names, each once"),
        ("ip", "ip,extra\n", r"ip\.csv:1: the head needs .* none of them extra"),
        ("ip", "ip,x\n1.1.1.1,a\n1.1.1.2\n", r"ip\.csv:3: 1 cells, and the head has 2"),
        ("ip", "ip,x\n1.1.1.1,a,b\n", r"ip\.csv:2: 3 cells"),
        ("ip", "ip,x\n1.1.1.1,a\n1.1.1.1,b\n", r"ip\.csv:3: the key '1\.1\.1\.1' is empty or was there"),
        ("ip", "ip,x\n::1,a\n0:0::1,b\n", r"ip\.csv:3: the key '0:0::1' is empty or was there"),
        ("ip", "ip,x\n,a\n", r"ip\.csv:2: the key '' is empty"),
        ("ip", "ip,x\n10.0.4.7/24,a\n", r"ip\.csv:2: '10\.0\.4\.7/24' does not fit ip"),
        ("ip", "ip,x\n10.0.0.0/33,a\n", r"ip\.csv:2: '10\.0\.0\.0/33' does not fit ip"),
        ("ip", "ip,x\nhost,a\n", r"ip\.csv:2: 'host' does not fit ip \(inet\)"),
        ("ip", "ip,asn\n::1,9223372036854775808\n", r"ip\.csv:2: '9223372036854775808' does not fit asn"),
        ("ip", "ip,asn\n::1," + "9" * 5000 + "\n", r"ip\.csv:2: '9+' does not fit asn"),
        ("ip", "ip,duration_seconds\n::1,nan\n", r"ip\.csv:2: 'nan' does not fit duration_seconds"),
        ("ip", "ip,is_bot\n::1,perhaps\n", r"ip\.csv:2: 'perhaps' does not fit is_bot \(boolean\)"),
        ("ip", 'ip,x\n::1,"a\nb\n', r"ip\.csv:\d: "),
        ("ip", "ip,x\n::1,a\0\n", r"ip\.csv:2: not UTF-8, or a NUL"),
    ],
)
def test_error_names_file_and_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    """Whoever wrote the table is told the setting, the file, the line and what is wrong there."""
    with pytest.raises(ConfigurationError, match=f"SLUICE_LOOKUPS: .*{message}"):
        lookup_enricher(table(tmp_path, name, text))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """The line that is not UTF-8 is named."""
    path = tmp_path / "ip.csv"
    path.write_bytes(b"ip,x\n::1,\xff\n")

    with pytest.raises(ConfigurationError, match=r"ip\.csv:2: not UTF-8"):
        lookup_enricher(path)


def test_large_file_is_refused(tmp_path: Path) -> None:
    """A file whose table would fill the memory of each process is refused unread."""
    path = tmp_path / "ip.csv"
    with path.open("wb") as file:
        file.truncate((16 << 20) + 1)

    with pytest.raises(ConfigurationError, match=r"ip\.csv: over 16 MiB"):
        lookup_enricher(path)


def test_files_of_a_folder(tmp_path: Path) -> None:
    """Only COLUMN.csv are lookups, in the order of their names; a missing folder names the setting."""
    for name in ("status.csv", "ip.csv", ".ip.csv", "README.md", "ip.csv~"):
        (tmp_path / name).touch()

    assert [path.name for path in lookup_files(tmp_path)] == ["ip.csv", "status.csv"]
    with pytest.raises(ConfigurationError, match=r"SLUICE_LOOKUPS: .*none: No such file"):
        lookup_files(tmp_path / "none")
