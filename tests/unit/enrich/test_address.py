"""Addresses: country by the registries or by databases of the user, which may change or break."""

from pathlib import Path

import pytest

from pipeline.enrich.address import address_enricher, registered_country
from pipeline.enrich.mmdb import Database
from pipeline.errors import ConfigurationError
from tests.mmdb import ASN, CITY, write_database

NETWORK = "1.2.3.0/24"


def test_without_a_database_only_the_country() -> None:
    """No column is promised that nothing can fill."""
    enricher = address_enricher([])

    assert enricher.outputs == ("ip_scope", "country")
    assert enricher.enrich("8.8.8.8") == (None, "US")
    assert enricher.enrich("2001:4860:4860::8888") == (None, "US")
    assert enricher.enrich("::ffff:8.8.8.8") == (None, "US")


def test_special_address_has_a_scope_and_no_country(tmp_path: Path) -> None:
    """A database is not asked about an address that belongs to nobody in particular."""
    database = Database(write_database(tmp_path / "a.mmdb", {"10.0.0.0/8": CITY}))

    assert address_enricher([]).enrich("10.1.2.3") == ("private", None)
    assert address_enricher([database]).enrich("10.1.2.3") == ("private", None, None)


def test_databases_fill_what_they_know(tmp_path: Path) -> None:
    """Country and city come from one file, the network from the other, and the registry is not asked."""
    city = Database(write_database(tmp_path / "c.mmdb", {NETWORK: CITY}))
    asn = Database(write_database(tmp_path / "a.mmdb", {NETWORK: ASN, "2a00::/16": ASN}, "GeoLite2-ASN"))

    enricher = address_enricher([city, asn])

    assert enricher.outputs == ("ip_scope", "country", "city", "asn")
    assert enricher.enrich("1.2.3.4") == (None, "NZ", "Dunedin", 64500)
    assert enricher.enrich("2a00::1") == (None, None, None, 64500)
    assert enricher.enrich("8.8.8.8") == (None, None, None, None)


def test_asn_alone_leaves_the_country_to_the_registries(tmp_path: Path) -> None:
    """A database that knows networks only adds to the country."""
    asn = Database(write_database(tmp_path / "a.mmdb", {NETWORK: ASN}, "GeoLite2-ASN"))

    enricher = address_enricher([asn])

    assert enricher.outputs == ("ip_scope", "country", "asn")
    assert enricher.enrich("8.8.8.8") == (None, "US", None)


def test_flat_database_is_read_too(tmp_path: Path) -> None:
    """A database of another maker, whose type says nothing, is known by its records."""
    record = {"country": "New Zealand", "country_code": "NZ", "asn": "AS64500", "as_name": "Example"}
    database = Database(write_database(tmp_path / "l.mmdb", {NETWORK: record}, "lite"))

    assert database.columns == ("country", "asn")
    assert address_enricher([database]).enrich("1.2.3.4") == (None, "NZ", 64500)


@pytest.mark.parametrize(
    "odd", [{}, {"country": 7}, {"city": {"names": {"de": "x"}}}, {"asn": "ASx"}, "text"]
)
def test_odd_record_is_no_answer(tmp_path: Path, odd: object) -> None:
    """A record of another form leaves its columns empty."""
    database = Database(write_database(tmp_path / "o.mmdb", {NETWORK: odd, "9.0.0.0/8": CITY | ASN}))

    assert address_enricher([database]).enrich("1.2.3.4") == (None, None, None, None)


def test_city_is_storable(tmp_path: Path) -> None:
    """A name with a NUL, which PostgreSQL refuses, is written as an escape."""
    record = {"city": {"names": {"en": "a\0b"}}}
    database = Database(write_database(tmp_path / "n.mmdb", {NETWORK: record}))

    assert address_enricher([database]).enrich("1.2.3.4") == (None, None, "a\\x00b")


def test_missing_file_names_the_setting(tmp_path: Path) -> None:
    """What is not there is said with setting and path."""
    with pytest.raises(ConfigurationError, match=r"SLUICE_GEOIP: .*none\.mmdb.*No such file"):
        Database(tmp_path / "none.mmdb")


@pytest.mark.parametrize("content", [b"", b"no database", b"\0" * 100_000])
def test_file_of_something_else_names_the_setting(tmp_path: Path, content: bytes) -> None:
    """What is no database is refused before anything is parsed with it."""
    path = tmp_path / "x.mmdb"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"SLUICE_GEOIP: .*x\.mmdb"):
        Database(path)


def test_every_cut_of_a_database_is_refused_or_read(tmp_path: Path) -> None:
    """A file that was cut anywhere names the setting when opened or asked; nothing else ever escapes."""
    whole = write_database(tmp_path / "w.mmdb", {NETWORK: CITY}).read_bytes()
    path, refused = tmp_path / "cut.mmdb", 0
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        try:
            Database(path).find("1.2.3.4")
        except ConfigurationError as error:
            refused += "SLUICE_GEOIP" in str(error)

    assert refused > 50


def test_file_cut_while_it_is_open_is_of_no_effect(tmp_path: Path) -> None:
    """A process that has opened a file survives that someone truncates it, and answers as before."""
    path = write_database(tmp_path / "c.mmdb", {f"1.2.{n}.0/24": CITY | {"n": "x" * n} for n in range(250)})
    database = Database(path)

    path.write_bytes(b"")

    assert [database.find(f"1.2.{n}.1")["n"] for n in range(250)] == ["x" * n for n in range(250)]


def test_unions_are_no_country() -> None:
    """The registries' code of Europe is not a country's."""
    codes = {registered_country(f"{a}.{b}.0.1") for a in range(1, 224) for b in range(0, 256, 5)}

    assert "EU" not in codes
    assert len(codes) > 100
    assert all(code is None or (len(code) == 2 and code.isupper()) for code in codes)
