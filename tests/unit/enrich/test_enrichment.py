"""The enrichment of a process: what the settings choose, and files that change while it runs."""

import logging
import os
from pathlib import Path

import pytest

from pipeline.enrich.enrichment import NOTHING, Enrichment
from pipeline.enrich.parsers import Parsers
from pipeline.errors import ConfigurationError
from pipeline.formats.ncsa import COMBINED, COMMON
from pipeline.settings import Settings
from tests.mmdb import CITY, write_database

ADDED = ("ip_scope", "country", "browser", "os", "device", "is_bot")


def added(enrichment: Enrichment) -> set[str]:
    """Return the columns that the combined format gains."""
    return set(enrichment.format(COMBINED).columns) - set(COMBINED.columns)


def test_default_is_both_parts() -> None:
    """Without a word of the user, address and agent are told; city and network, unknown, are no columns."""
    assert added(Settings.from_environment().enrichment) == set(ADDED)


@pytest.mark.parametrize(
    ("value", "expected"), [("none", set()), ("agent", set(ADDED[2:])), ("address", set(ADDED[:2]))]
)
def test_parts_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, value: str, expected: set[str]) -> None:
    """One setting chooses the parts."""
    monkeypatch.setenv("SLUICE_ENRICH", value)

    assert added(Settings.from_environment().enrichment) == expected


@pytest.mark.parametrize("value", ["adress", "none,agent", ","])
def test_unknown_part_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A misspelt part names the setting and the parts there are."""
    monkeypatch.setenv("SLUICE_ENRICH", value)

    with pytest.raises(ConfigurationError, match="SLUICE_ENRICH: use none, or some of address,agent"):
        Settings.from_environment()


def test_files_are_set_by_their_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Databases and lookups come from the environment."""
    write_database(tmp_path / "c.mmdb", {"1.2.3.0/24": CITY})
    (tmp_path / "ip.csv").write_text("ip,client_host,team\n1.2.3.4,web,blue\n")
    monkeypatch.setenv("SLUICE_GEOIP", f"{tmp_path / 'c.mmdb'}:")
    monkeypatch.setenv("SLUICE_LOOKUPS", str(tmp_path))

    record = Settings.from_environment().enrichment.record({"ip": "1.2.3.4"})

    assert record == {
        "ip": "1.2.3.4",
        "ip_scope": None,
        "country": "NZ",
        "city": "Dunedin",
        "client_host": "web",
        "extra": {"team": "blue"},
    }


def test_nothing_changes_nothing() -> None:
    """An enrichment of no parts leaves formats and records as they are."""
    assert NOTHING.format(COMMON) is COMMON
    assert NOTHING.record({"ip": "::1"}) == {"ip": "::1"}


def city(enrichment: Enrichment) -> object:
    """Return the city of an address."""
    return enrichment.record({"ip": "1.2.3.4"}).get("city")


def test_replaced_database_is_read_again(tmp_path: Path) -> None:
    """The generation rises with the file, and parsers forget what they have converted."""
    path = write_database(tmp_path / "c.mmdb", {"1.2.3.0/24": CITY})
    enrichment = Enrichment(("address",), [path], look_seconds=0)
    parsers = Parsers(enrichment, lambda _columns, values: values)
    before, first = enrichment.generation(), parsers.of(COMBINED)
    assert (city(enrichment), enrichment.generation(), parsers.of(COMBINED)) == ("Dunedin", before, first)

    write_database(path, {"1.2.3.0/24": {"city": {"names": {"en": "Napier"}}}})

    assert city(enrichment) == "Napier"
    assert enrichment.generation() == before + 1
    assert parsers.of(COMBINED) is not first


def test_look_is_taken_now_and_then_only(tmp_path: Path) -> None:
    """Between two looks a changed file is not noticed: a look at every batch would cost."""
    path = write_database(tmp_path / "c.mmdb", {"1.2.3.0/24": CITY})
    enrichment = Enrichment(("address",), [path], look_seconds=3600)
    assert city(enrichment) == "Dunedin"

    write_database(path, {"1.2.3.0/24": {"city": {"names": {"en": "Napier"}}}})

    assert city(enrichment) == "Dunedin"


@pytest.mark.parametrize("broken", [True, False])
def test_change_that_cannot_be_read_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: bool
) -> None:
    """A file that breaks or vanishes leaves what was read in use, once with a warning, until it is whole."""
    path = write_database(tmp_path / "c.mmdb", {"1.2.3.0/24": CITY})
    enrichment = Enrichment(("address",), [path], look_seconds=0)
    assert city(enrichment) == "Dunedin"
    path.write_bytes(b"broken") if broken else path.unlink()

    with caplog.at_level(logging.WARNING):
        assert [city(enrichment) for _ in range(3)] == ["Dunedin"] * 3

    (record,) = caplog.records
    assert "SLUICE_GEOIP" in record.getMessage()
    write_database(path, {"1.2.3.0/24": {"city": {"names": {"en": "Napier"}}}})
    assert city(enrichment) == "Napier"


def test_lookups_come_and_change(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A new file, a changed one and one with an error are seen; the error keeps the table as it was."""
    enrichment = Enrichment((), (), tmp_path, look_seconds=0)
    assert enrichment.record({"ip": "::1"}) == {"ip": "::1"}
    path = tmp_path / "ip.csv"

    path.write_text("ip,city\n::1,X\n")
    assert city_of_loopback(enrichment) == "X"
    path.write_text("ip,city\n::1,Longer\n")
    assert city_of_loopback(enrichment) == "Longer"
    path.write_text("ip,city\n::1,X,Y\n")
    assert city_of_loopback(enrichment) == "Longer"
    assert "ip.csv:2: 3 cells" in caplog.text
    path.unlink()
    assert city_of_loopback(enrichment) is None


def city_of_loopback(enrichment: Enrichment) -> object:
    """Return the city that a lookup gives to ::1."""
    return enrichment.record({"ip": "::1"}).get("city")


def test_missing_file_is_an_error_at_first_use(tmp_path: Path) -> None:
    """Nothing is parsed without what was asked for; when the file is there, work goes on."""
    path = tmp_path / "c.mmdb"
    enrichment = Enrichment(("address",), [path], look_seconds=3600)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="SLUICE_GEOIP"):
            enrichment.format(COMBINED)

    write_database(path, {"1.2.3.0/24": CITY})

    assert city(enrichment) == "Dunedin"


def test_time_alone_is_a_change(tmp_path: Path) -> None:
    """A file that was written again with the same size is read again."""
    path = tmp_path / "ip.csv"
    path.write_text("ip,city\n::1,X\n")
    enrichment = Enrichment((), (), tmp_path, look_seconds=0)
    before = enrichment.generation()

    os.utime(path, (1, 1))

    assert enrichment.generation() == before + 1
